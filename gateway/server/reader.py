"""The requests of one connection, read from its bytes by llhttp.

llhttp alone decides where a request begins and ends. After a request that is refused here, nothing more is read.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import httptools

from gateway.errors import (
    GatewayError,
    HeaderFieldsTooLarge,
    InvalidArgument,
    RequestTimeout,
    UriTooLong,
    body_too_large,
    out_of_memory,
)
from gateway.server.limits import CHUNK_BYTES, CHUNKING_BYTES, FIELDS, HEAD_BYTES, SMALL_BODY_BYTES, TARGET_BYTES, Limits
from gateway.server.request import Fields, Request, framing_head, head_too_large, read_head, read_partial_head

_CUT_SHORT: Final = "the body cannot be read: it ended early, or its chunks are malformed"
_REASONS: Final = {
    "Expected HTTP/, RTSP/ or ICE/": "expected a method, a target without spaces, and HTTP/1.1",
    "Pause on PRI/Upgrade": "expected HTTP/1.1, got the beginning of HTTP/2",
}
_READ_BYTES: Final = 4096


class RequestReader:
    """Reads requests, which are then in ``whole`` in their order, complete or refused.

    ``refusal()`` is asked before a large body is read; an error that it gives refuses the request.

    - ``is_over``: nothing more is read, because of a refusal, or because the client wants its connection closed.
    - ``is_receiving``: a request has begun and is not whole.
    - ``size``: bytes of its body so far. ``held_bytes``: bytes of this body and of all before it, until the owner of the
      reader takes off those that were answered.
    """

    def __init__(self, limits: Limits, scheme: str, client: str, refusal: Callable[[], GatewayError | None]) -> None:
        self.whole: deque[Request] = deque()
        self.is_over = False
        self.is_receiving = False
        self.size = 0
        self.held_bytes = 0
        self._limits = limits
        self._scheme = scheme
        self._client = client
        self._refusal = refusal
        self._parser = httptools.HttpRequestParser(self)
        self._request: Request | None = None  # the one whose body is being read
        self._target = b""
        self._fields: Fields = []
        self._body: bytes | bytearray = b""
        self._wire_bytes = 0  # of the head or the body, in reads that did not end it
        self._chunks = 0

    @property
    def appetite(self) -> int:
        """How many bytes to read at a time: as many as the body still has, or so few that they are few requests."""
        request = self._request
        if request is None or request.length is None:
            return _READ_BYTES
        return max(_READ_BYTES, request.length - self.size)

    def begins_to_await_continue(self) -> bool:
        """Whether the client waits for ``100 Continue``; true once for each request."""
        request = self._request
        if request is None or not request.expects_continue or self.size:
            return False
        request.expects_continue = False
        return True

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        before, request = len(self.whole), self._request
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            self._refuse(_cause(error))
        except httptools.HttpParserError as error:
            self._refuse(self._malformed(error))
        # Bytes between two requests count as well: they are part of no head.
        if not self.is_over and len(self.whole) == before and request is self._request:
            self._bound_wire_bytes(len(data))
        else:
            self._wire_bytes = 0

    def end(self) -> None:
        """The client sends nothing more. A request of which it has begun to send the body is refused."""
        if self._request is not None and not self.is_over:
            length = self._request.length
            told = f"the body ended after {self.size} of the {length} bytes that its Content-Length gives"
            self._refuse(InvalidArgument(_CUT_SHORT if length is None else told))

    def time_out(self) -> None:
        """Refuse the request that has begun, because it did not come in time."""
        what = "request" if self._request is None else "body"
        error = RequestTimeout(f"the {what} did not arrive in time")
        self._refuse(error.decided_by("GATEWAY_READ_TIMEOUT_MS", self._limits.read_timeout_ms))

    def _parse(self, data: bytes) -> None:
        while data and not self.is_over:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as pause:
                data = data[pause.args[0] :]
                self._ignore_upgrade()
            except httptools.HttpParserError:
                # A client that wants its connection closed may have sent more all the same.
                if not self.is_over:
                    raise
                return
            else:
                return

    def _ignore_upgrade(self) -> None:
        """llhttp stops behind the head of such a request. Another parser reads on, with the body if there is one."""
        self._parser = httptools.HttpRequestParser(self)
        if self._request is not None:
            self._parser.feed_data(framing_head(self._fields))

    def _bound_wire_bytes(self, size: int) -> None:
        """Bound what comes between the parts that are counted one by one: names, values, sizes of chunks, trailers."""
        self._wire_bytes += size
        if self._request is None:
            if self._wire_bytes > HEAD_BYTES:
                self._refuse(head_too_large())
        elif self._wire_bytes > CHUNKING_BYTES + CHUNK_BYTES * self._chunks + 3 * self.size:
            self._refuse(InvalidArgument("the body cannot be read: its chunks have more bytes around the data than is allowed"))

    def _malformed(self, error: httptools.HttpParserError) -> GatewayError:
        # llhttp's reasons are its own words, and quote nothing of the request.
        reason = _REASONS.get(str(error), str(error))
        return InvalidArgument(f"the request is malformed: {reason}" if self._request is None else f"{_CUT_SHORT} ({reason})")

    def _refuse(self, error: GatewayError) -> None:
        request = self._request
        if request is None:
            method = self._parser.get_method() if self._target else b""
            request = read_partial_head(method, self._target, self._fields)
        request.keeps, request.error = False, error
        self.held_bytes -= self.size
        self._add(request, b"")

    def _add(self, request: Request, body: bytes) -> None:
        call = request.call
        call.body, call.complete_s, call.scheme, call.client = body, time.monotonic(), self._scheme, self._client
        self.whole.append(request)
        self.is_over = not request.keeps
        self.is_receiving = False
        self._request = None
        self._body = b""
        self.size = 0

    # What llhttp calls. An error that is raised here ends ``feed_data``. Once a head was read it is never read again, though
    # ``_ignore_upgrade`` makes llhttp begin with another one.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._request is None:
            self.is_receiving = True
            self._target = b""
            self._fields = []
            self._chunks = 0

    def on_url(self, piece: bytes) -> None:
        """A piece of the target."""
        if self._request is not None:
            return
        self._target += piece
        if len(self._target) > TARGET_BYTES:
            size = len(self._target)
            self._target = self._target[:TARGET_BYTES]
            raise UriTooLong(f"the request's target: expected at most {TARGET_BYTES} bytes, got {size} or more")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which is ignored."""
        if self._request is None:
            self._fields.append((name, value))
            if len(self._fields) > FIELDS:
                raise HeaderFieldsTooLarge(f"the request's head: expected at most {FIELDS} fields, got more")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._request is not None:
            return
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        request = read_head(method, self._target, version, self._fields, keeps=parser.should_keep_alive())
        self._request = request
        if request.length is not None and request.length > self._limits.max_body_bytes:
            raise body_too_large(self._limits.max_body_bytes)
        if request.length is None or request.length > SMALL_BODY_BYTES:
            error = self._refusal()
            if error is not None:
                raise error

    def on_chunk_header(self) -> None:
        """The size of a chunk."""
        self._chunks += 1

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self.size:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body + piece)
        self.size += len(piece)
        self.held_bytes += len(piece)
        if self.size > self._limits.max_body_bytes:
            raise body_too_large(self._limits.max_body_bytes)

    def on_message_complete(self) -> None:
        """The request is whole. One that asks for an upgrade is not, if it has a body: llhttp leaves it to others."""
        request, parser = self._request, self._parser
        if request is None or (request.length != self.size and parser.should_upgrade()):
            return
        # llhttp takes a ``Connection: close`` among the trailers for one of the head.
        request.keeps = request.keeps and parser.should_keep_alive()
        self._add(request, bytes(self._body))


def _cause(error: BaseException) -> GatewayError:
    """What a callback raised. Anything but a refusal is a fault of this module, and not the client's."""
    cause = error.__context__
    if isinstance(cause, GatewayError):
        return cause
    if isinstance(cause, MemoryError):
        return out_of_memory()
    raise error
