"""The requests of one connection, read from its bytes by llhttp.

llhttp alone decides where a request begins and ends. What is refused here is refused for good: nothing behind it is read.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import httptools

from gateway.call import Call
from gateway.errors import GatewayError, HeaderFieldsTooLarge, InvalidArgument, PayloadTooLarge, RequestTimeout, UriTooLong
from gateway.server import head as heads
from gateway.server.head import Fields, Head
from gateway.server.limits import CHUNK_BYTES, CHUNKING_BYTES, FIELDS, HEAD_BYTES, SMALL_BODY_BYTES, TARGET_BYTES, Limits

_CUT_SHORT: Final = "the body cannot be read: it ended early, or its chunks are malformed"


_READ_BYTES: Final = 4096


class Request:
    """A request that has come whole, or one that is refused: ``error`` says why. ``keeps``: its connection may be kept."""

    __slots__ = ("call", "error", "keeps")

    def __init__(self, call: Call, *, keeps: bool, error: GatewayError | None = None) -> None:
        self.call = call
        self.keeps = keeps
        self.error = error


class RequestReader:
    """Reads ``whole`` requests in their order. ``refusal(head)`` may refuse one before its body is read.

    - ``is_over``: nothing more is read, because of a refusal, or because the client wants its connection closed.
    - ``is_receiving``: a request has begun and is not whole.
    - ``size``: bytes of its body so far. ``held``: bytes of this body and of those in ``whole``.
    """

    def __init__(self, limits: Limits, scheme: str, client: str, refusal: Callable[[Head], GatewayError | None]) -> None:
        self.whole: deque[Request] = deque()
        self.is_over = False
        self.is_receiving = False
        self.size = 0
        self.held = 0
        self._limits = limits
        self._scheme = scheme
        self._client = client
        self._refusal = refusal
        self._parser = httptools.HttpRequestParser(self)
        self._replays = False
        self._head: Head | None = None
        self._target = b""
        self._fields: Fields = []
        self._body: bytes | bytearray = b""
        self._wire_bytes = 0  # of the head or the body, in reads that did not end it
        self._chunks = 0

    @property
    def appetite(self) -> int:
        """How many bytes to read at a time: as many as the body still has, or a few."""
        head = self._head
        if head is None or head.length is None:
            return _READ_BYTES
        return max(_READ_BYTES, head.length - self.size)

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits for ``100 Continue``; asked once for each request."""
        if self._head is None or not self._head.expects_continue or self.size:
            return False
        self._head.expects_continue = False
        return True

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        before, head = len(self.whole), self._head
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            self._refuse(_cause(error))
        except httptools.HttpParserError as error:
            self._refuse(self._malformed(error))
        # Bytes between two requests count as well: they are part of no head.
        if not self.is_over and len(self.whole) == before and head is self._head:
            self._bound(len(data))
        else:
            self._wire_bytes = 0

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
        if self._head is not None:
            self._replays = True
            self._parser.feed_data(heads.framing(self._fields))
            self._replays = False

    def end(self) -> None:
        """Nothing more comes from the client. A request that it has begun to send a body of is refused."""
        head = self._head
        if head is not None and not self.is_over:
            length = head.length
            told = f"the body ended after {self.size} of the {length} bytes that its Content-Length tells"
            self._refuse(InvalidArgument(_CUT_SHORT if length is None else told))

    def time_out(self) -> None:
        """The request that has begun did not come in time."""
        what = "request" if self._head is None else "body"
        error = RequestTimeout(f"the {what} did not arrive in time")
        self._refuse(error.decided_by("GATEWAY_READ_TIMEOUT_MS", self._limits.read_timeout_ms))

    def _bound(self, size: int) -> None:
        """Bound what comes between the parts that are counted one by one: names, values, sizes of chunks, trailers."""
        self._wire_bytes += size
        if self._head is None:
            if self._wire_bytes > HEAD_BYTES:
                self._refuse(heads.too_large())
        elif self._wire_bytes > CHUNKING_BYTES + CHUNK_BYTES * self._chunks + 3 * self.size:
            self._refuse(InvalidArgument("the body cannot be read: its chunks have more bytes around the data than is allowed"))

    def _malformed(self, error: httptools.HttpParserError) -> GatewayError:
        # llhttp's reasons are its own words, and quote nothing of the request.
        if self._head is None:
            return InvalidArgument(f"the request is malformed: {error}")
        return InvalidArgument(f"{_CUT_SHORT} ({error})")

    def _refuse(self, error: GatewayError) -> None:
        method = self._parser.get_method() if self._target else b""
        head = self._head or heads.begun(method, self._target, self._fields)
        self.held -= self.size
        self._add(head, b"", keeps=False, error=error)

    def _add(self, head: Head, body: bytes, *, keeps: bool, error: GatewayError | None) -> None:
        call = Call(
            head.method,
            head.path,
            head.query,
            head.headers,
            body,
            complete_s=time.monotonic(),
            scheme=self._scheme,
            client=self._client,
        )
        self.whole.append(Request(call, keeps=keeps, error=error))
        self.is_over = not keeps
        self.is_receiving = False
        self._head = None
        self._body = b""
        self.size = 0

    # What llhttp calls. An error that is raised here ends ``feed_data``.

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._replays:
            self.is_receiving = True
            self._target = b""
            self._fields = []
            self._chunks = 0

    def on_url(self, piece: bytes) -> None:
        """A piece of the target."""
        if self._replays:
            return
        self._target += piece
        if len(self._target) > TARGET_BYTES:
            size = len(self._target)
            self._target = self._target[:TARGET_BYTES]
            raise UriTooLong(f"the request's target: expected at most {TARGET_BYTES} bytes, got {size} or more")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer, which nobody here looks at."""
        if self._head is None:
            self._fields.append((name, value))
            if len(self._fields) > FIELDS:
                raise HeaderFieldsTooLarge(f"the request's head: expected at most {FIELDS} fields, got more")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._replays:
            return
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        head = heads.read(method, self._target, version, self._fields, keeps=parser.should_keep_alive())
        self._head = head
        if head.length is not None and head.length > self._limits.max_body_bytes:
            raise self._over_limit()
        if head.length is None or head.length > SMALL_BODY_BYTES:
            error = self._refusal(head)
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
        self.held += len(piece)
        if self.size > self._limits.max_body_bytes:
            raise self._over_limit()

    def on_message_complete(self) -> None:
        """The request is whole. One that asks for an upgrade is not, if it has a body: llhttp leaves it to others."""
        head, parser = self._head, self._parser
        if head is None or (head.length != self.size and parser.should_upgrade()):
            return
        # llhttp takes a ``Connection: close`` among the trailers for one of the head.
        self._add(head, bytes(self._body), keeps=head.keeps and parser.should_keep_alive(), error=None)

    def _over_limit(self) -> PayloadTooLarge:
        limit = self._limits.max_body_bytes
        return PayloadTooLarge(f"the body is over the limit of {limit} bytes").decided_by("GATEWAY_MAX_BODY_BYTES", limit)


def _cause(error: BaseException) -> GatewayError:
    """What a callback raised. Anything but a refusal is a fault of this module, and not the client's."""
    cause = error.__context__
    if isinstance(cause, GatewayError):
        return cause
    raise error
