"""The protocol of a connection: whole requests in, whole answers out, one at a time and in their order.

A client that ends its own direction has gone: what is in work for it is cancelled. TCP does not tell whether the client would
still read an answer, and a client that has timed out looks the same.
"""

import asyncio
from typing import Final, cast

from gateway.call import Answer
from gateway.errors import GatewayError
from gateway.server.connections import Connections, log
from gateway.server.head import Head
from gateway.server.limits import AHEAD_BYTES, IDLE_S, LINGER_BYTES, LINGER_S, SMALL_BODY_BYTES
from gateway.server.reader import Request, RequestReader
from gateway.server.response import CONTINUE, FAILURE, encode

_NEVER: Final = float("inf")
_WATCHING: Final = ("GET", "HEAD")


class HttpProtocol(asyncio.Protocol):
    """A connection of HTTP/1.0 or 1.1. ``expires_s``, by the loop's clock, is when it has waited long enough."""

    __slots__ = (
        "_ahead",
        "_connections",
        "_held_bytes",
        "_is_large",
        "_is_late",
        "_is_timed",
        "_left_s",
        "_linger_bytes",
        "_loop",
        "_pauses_ahead",
        "_pauses_writing",
        "_reader",
        "_task",
        "_transport",
        "_unsent_bytes",
        "expires_s",
    )

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = connections
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._held_bytes = 0  # of bodies, as the worker counts them
        self._ahead = bytearray()  # what came while a request was in work
        self._pauses_ahead = False  # whether that is so much that nothing more is received
        self._is_timed = False  # whether the time for the request that has begun runs
        self._is_large = False  # whether the body that has begun is a large one
        self._is_late = False  # whether the connection is being closed, and should be by now
        self._left_s: float | None = None  # of the time for a request, while its body is held up
        self._linger_bytes: int | None = None  # that may still come and are thrown away
        self._pauses_writing = False
        self._unsent_bytes = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected. It has the time of a request to begin one."""
        self._transport = cast(asyncio.Transport, transport)
        connections = self._connections
        peer = transport.get_extra_info("peername")
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        client = peer[0] if isinstance(peer, tuple) else ""
        self._reader = RequestReader(connections.limits, scheme, client, self._refusal_before_body)
        self.expires_s = self._loop.time() + connections.limits.read_timeout_s
        connections.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._linger_bytes is not None:
            self._discard(len(data))
            return
        if self._ahead or self._task is not None or self._pauses_writing:
            self._keep_ahead(data)
        else:
            self._read(data)
        self._proceed()
        if self._reader.held != self._held_bytes or self._is_large:
            self._count_bodies()

    def eof_received(self) -> bool:
        """The client sends nothing more."""
        reader = self._reader
        if self._linger_bytes is not None or self._task is not None:
            return False
        reader.end()
        if not reader.whole:
            return False
        self._linger_bytes = 0
        self._begin(reader.whole.popleft())
        return False

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered: nothing more is begun for it until it does."""
        self._pauses_writing = True
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self.expires_s = self._loop.time() + self._connections.limits.read_timeout_s

    def resume_writing(self) -> None:
        """The client has read most of it."""
        self._pauses_writing = False
        if self._linger_bytes is not None:
            self.expires_s = self._loop.time() + LINGER_S
            return
        self._rest()
        self._proceed()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed. What is in work for it leaves every queue."""
        connections = self._connections
        connections.open.discard(self)
        if self._task is not None:
            self._task.cancel()
        if self._is_large:
            connections.bodies.end(self)
        connections.bodies.add(-self._held_bytes)
        self._held_bytes = 0

    # What the worker calls.

    def expire(self) -> None:
        """``expires_s`` has come."""
        if self._pauses_writing and self._reads():
            self.expires_s = self._loop.time() + self._connections.limits.read_timeout_s
        elif self._pauses_writing or self._is_late:
            self.abort()
        elif self._linger_bytes is None and self._reader.is_receiving:
            self._reader.time_out()
            self._count_bodies()
            self._proceed()
        else:
            self._close()

    def let_go(self) -> None:
        """The worker stops. A connection that was promised to be kept is, for a moment."""
        if self._task is None and not self._reader.is_receiving and not self._pauses_writing:
            self.expires_s = min(self.expires_s, self._loop.time() + LINGER_S)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def pause(self) -> None:
        """Receive nothing more of a large body, and stop its time."""
        if self._left_s is None and not self._transport.is_closing():
            timeout_s = self._connections.limits.read_timeout_s
            self._left_s = self.expires_s - self._loop.time() if self._is_timed else timeout_s
            self.expires_s = _NEVER
            self._transport.pause_reading()

    def resume(self) -> None:
        """Receive the rest of it."""
        if self._left_s is not None and not self._transport.is_closing():
            if self._is_timed:
                self.expires_s = self._loop.time() + self._left_s
            self._left_s = None
            if not self._pauses_ahead:
                self._transport.resume_reading()

    # One request after the other.

    def _proceed(self) -> None:
        """Begin what has come whole, as long as nothing is in work and the client reads its answers."""
        reader = self._reader
        while self._task is None and not self._pauses_writing and self._linger_bytes is None:
            if reader.whole:
                self._begin(reader.whole.popleft())
            elif self._ahead:
                self._read_ahead()
            else:
                if reader.is_receiving:
                    self._wait_for_rest()
                return

    def _wait_for_rest(self) -> None:
        if not self._is_timed:
            self._is_timed = True
            held_up = self._left_s is not None
            self.expires_s = _NEVER if held_up else self._loop.time() + self._connections.limits.read_timeout_s
        if self._reader.awaits_continue:
            self._transport.write(CONTINUE)

    def _begin(self, request: Request) -> None:
        connections, call = self._connections, request.call
        self._is_timed = False
        error = request.error
        if error is None and (call.body or call.method not in _WATCHING):
            error = connections.one_too_many()
        if error is not None:
            self._send(request, connections.refusal(call, error))
            return
        connections.in_work += 1
        self.expires_s = _NEVER
        self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._connections.answer(request.call)
        except asyncio.CancelledError:
            self._transport.abort()  # the client has gone, or the worker ends
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the others go on
            log.exception("a request was not answered")
            answer, request.keeps = FAILURE, False
        finally:
            self._connections.in_work -= 1
        self._task = None
        if not self._transport.is_closing():
            self._send(request, answer)
            self._proceed()

    def _send(self, request: Request, answer: Answer) -> None:
        """Send an answer. Its connection is kept, or lingers until the client has seen it."""
        connections, call = self._connections, request.call
        keeps = request.keeps and not connections.is_draining()
        is_head = call.method == "HEAD"
        try:
            data = encode(answer, date=connections.date, keeps=keeps, is_head=is_head)
        except Exception:  # noqa: BLE001 - as above
            log.exception("an answer could not be sent")
            keeps = False
            data = encode(FAILURE, date=connections.date, keeps=False, is_head=is_head)
        if call.body:
            self._reader.held -= len(call.body)
            self._count_bodies()
        self._rest()
        self._transport.write(data)
        if not keeps:
            self._linger(may_still_send=request.error is not None)

    def _rest(self) -> None:
        """Wait for the next request; for a short time only when the worker stops."""
        self.expires_s = self._loop.time() + (LINGER_S if self._connections.is_draining() else IDLE_S)

    def _refusal_before_body(self, head: Head) -> GatewayError | None:
        return self._connections.one_too_many()

    # What comes before its turn, or too late.

    def _read(self, data: bytes) -> None:
        """Read as much as is sure to be few requests. The rest waits: a hundred thousand fit into what comes at once."""
        size = self._reader.appetite
        if len(data) > size:
            self._keep_ahead(data[size:])
            data = data[:size]
        self._reader.feed(data)

    def _keep_ahead(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > AHEAD_BYTES:
            self._pauses_ahead = True
            self._transport.pause_reading()

    def _read_ahead(self) -> None:
        size = self._reader.appetite
        with memoryview(self._ahead) as view:
            data = bytes(view[:size])
        del self._ahead[:size]
        if self._pauses_ahead and len(self._ahead) <= AHEAD_BYTES and not self._transport.is_closing():
            self._pauses_ahead = False
            if self._left_s is None:
                self._transport.resume_reading()
        self._reader.feed(data)

    def _count_bodies(self) -> None:
        """Tell the worker how much this connection holds, and whether that is a large body that still comes."""
        bodies, reader = self._connections.bodies, self._reader
        is_large = reader.size > SMALL_BODY_BYTES
        if is_large and not self._is_large:
            bodies.begin(self)
        elif self._is_large and not is_large:
            bodies.end(self)
        self._is_large = is_large
        size, self._held_bytes = reader.held - self._held_bytes, reader.held
        bodies.add(size)

    def _linger(self, *, may_still_send: bool) -> None:
        """Send nothing more, and throw away what comes: unread bytes would reset the connection, and lose the last answer."""
        if self._linger_bytes is None:
            self._linger_bytes = LINGER_BYTES
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._ahead.clear()
            if self._pauses_ahead or self._left_s is not None:
                self._transport.resume_reading()
            if not may_still_send and not self._transport.can_write_eof():
                self._close()  # TLS has no end of one direction, by which a client would know that no more comes
                return
        if not self._pauses_writing:
            self.expires_s = self._loop.time() + LINGER_S

    def _discard(self, size: int) -> None:
        self._linger_bytes = cast(int, self._linger_bytes) - size
        if self._linger_bytes < 0:
            self._close()

    def _close(self) -> None:
        """Close when everything is sent; a client that does not read is not waited for."""
        self._is_late = True
        self.expires_s = self._loop.time() + self._connections.limits.read_timeout_s
        self._transport.close()

    def _reads(self) -> bool:
        """Whether the client has read anything of its answer since this was asked."""
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before
