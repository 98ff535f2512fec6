"""HTTP in: routes, validation, rendering. JSON stops here: what leaves towards ``inference`` is numpy."""
