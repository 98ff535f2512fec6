"""What a worker tells the application of a request's arrival."""

from typing import Final

# The key in the WSGI environment: since when, in seconds of ``time.perf_counter``, a request has only waited in the gateway.
ARRIVED: Final = "gateway.arrived_s"
