"""gRPC out: channel, catalog, tensor codec. protobuf stops here: what leaves towards ``inference`` is numpy."""
