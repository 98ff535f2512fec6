"""What the reader of a connection makes of its bytes. tests/gateway/server/test_http_table.py has all the rest."""

from gateway.errors import Unavailable
from gateway.server.limits import SMALL_BODY_BYTES, Limits
from gateway.server.reader import RequestReader

LIMITS = Limits(max_body_bytes=2 * SMALL_BODY_BYTES, read_timeout_ms=1000, max_in_flight=1)
HEAD = b"POST /predict HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\n" % (SMALL_BODY_BYTES + 1)


def test_a_body_that_finds_no_memory_is_refused_and_nothing_more_is_read():
    def no_memory() -> None:
        bytes(2**62)

    reader = RequestReader(LIMITS, "http", "127.0.0.1", no_memory)
    reader.feed(HEAD + b"{")
    [refused] = reader.whole
    assert isinstance(refused.error, Unavailable)
    assert "not enough memory" in refused.error.message
    assert reader.is_over
    assert reader.held_bytes == 0
