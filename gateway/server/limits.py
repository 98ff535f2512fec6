"""How much a client may send, and how long it may take."""

from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 65_536
FIELDS: Final = 100
TARGET_BYTES: Final = 8192
# What chunks may add to a body: their sizes, extensions and trailers. The rule is that of Go's net/http: 16 bytes for each
# chunk, twice its data, and a fixed amount for the whole body.
CHUNK_BYTES: Final = 16
CHUNKING_BYTES: Final = 65_536
# Bodies up to this size are never held up, and the rest of one that is refused is worth waiting for.
SMALL_BODY_BYTES: Final = 65_536
# A client that sends requests before their turn is read no further than this.
AHEAD_BYTES: Final = 65_536
# After its last answer a client may go on sending: its bytes are thrown away within these bounds.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 64 << 20
# Longer than the idle timeouts of the usual load balancers, so that they close a connection and never find it closed.
IDLE_S: Final = 75.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that settings decide.

    - ``max_body_bytes``: the largest body.
    - ``read_timeout_ms``: how long a client may take to send a request, or to read the next part of its answer.
    - ``max_in_flight``: requests that one worker has in work at a time.
    """

    max_body_bytes: int
    read_timeout_ms: int
    max_in_flight: int

    @property
    def read_timeout_s(self) -> float:
        """``read_timeout_ms`` in seconds."""
        return self.read_timeout_ms / 1000
