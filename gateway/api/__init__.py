"""HTTP in: what every request passes, whatever its dialect. JSON stops here: what leaves towards ``inference`` is numpy.

Each dialect has a folder and imports no other; ``advice`` and ``samples`` serve them all. No module here imports a folder.
"""
