"""The protocol of a connection: whole requests in, whole answers out, one at a time and in their order.

When a client closes its sending direction, its request in work is cancelled: TCP does not tell whether the client would still
read an answer, and a client that has timed out looks the same.
"""

import asyncio
from typing import Final, cast

from gateway.call import Answer
from gateway.server.connections import Connections, log
from gateway.server.limits import AHEAD_BYTES, IDLE_S, LINGER_BYTES, LINGER_S
from gateway.server.reader import RequestReader
from gateway.server.request import Request
from gateway.server.response import CONTINUE, FAILURE, encode_answer

_NEVER: Final = float("inf")
_WATCHING: Final = ("GET", "HEAD")


class HttpProtocol(asyncio.Protocol):
    """A connection of HTTP/1.0 or 1.1. ``expires_s``, by the loop's clock, is when it has waited long enough."""

    expires_s: float

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = connections
        self._loop = loop
        self._timeout_s = connections.limits.read_timeout_s
        self._task: asyncio.Task[None] | None = None  # answers the request that is in work
        self._ahead = bytearray()  # what has come and is not read yet
        self._is_timed = False  # whether the time for the request that has begun runs
        self._left_s: float | None = None  # of that time, while the body is held up
        self._held_bytes = 0  # of bodies, as the worker counts them
        self._linger_bytes: int | None = None  # that may still come and are thrown away, behind the last answer
        self._pauses_writing = False  # because the client does not read
        self._unsent_bytes = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected. It has the time of a request to begin one."""
        self._transport = cast(asyncio.Transport, transport)
        connections = self._connections
        peer = transport.get_extra_info("peername")
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        client = peer[0] if isinstance(peer, tuple) else ""
        self._reader = RequestReader(connections.limits, scheme, client, connections.one_too_many)
        self._expire_in(self._timeout_s)
        connections.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._linger_bytes is not None:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self._close()
            return
        # As much is read at once as is sure to be few requests: a hundred thousand fit into what comes at once.
        if self._ahead or not self._may_begin() or len(data) > self._reader.appetite:
            self._ahead += data
            self._receive_or_pause()
        else:
            self._reader.feed(data)
        self._proceed()
        self._count_bodies()

    def eof_received(self) -> bool:
        """The client sends nothing more. The transport closes itself when what was written is sent."""
        reader = self._reader
        if self._linger_bytes is None and self._task is None:
            reader.end()
            if reader.whole:
                self._linger_bytes = 0
                self._begin(reader.whole.popleft())
            self._count_bodies()
        return False

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered: nothing more is begun for it until it does."""
        self._pauses_writing = True
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._expire_in(self._timeout_s)

    def resume_writing(self) -> None:
        """The client has read most of it."""
        self._pauses_writing = False
        if self._linger_bytes is not None:
            self._expire_in(LINGER_S)
            return
        self._rest()
        self._proceed()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed. What is in work for it leaves every queue."""
        self._connections.open.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._connections.bodies.count(self, -self._held_bytes, 0)

    # What the worker calls.

    def expire(self) -> None:
        """``expires_s`` has come."""
        if self._pauses_writing and self._has_read():
            self._expire_in(self._timeout_s)
        elif self._pauses_writing or self._transport.is_closing():
            self.abort()
        elif self._linger_bytes is None and self._reader.is_receiving:
            self._reader.time_out()
            self._count_bodies()
            self._proceed()
        else:
            self._close()

    def let_go(self) -> None:
        """The worker stops. A connection that waits for a request is closed soon: the client was told that it is kept."""
        if self._task is None and not self._reader.is_receiving and not self._pauses_writing:
            self.expires_s = min(self.expires_s, self._loop.time() + LINGER_S)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def hold_up(self, is_held_up: bool) -> None:
        """Receive nothing more of a large body for now, or go on. Its time does not run meanwhile."""
        left_s, now_s = self._left_s, self._loop.time()
        if self._transport.is_closing() or is_held_up == (left_s is not None):
            return
        self._left_s = self.expires_s - now_s if left_s is None else None
        self.expires_s = _NEVER if left_s is None else now_s + left_s
        self._receive_or_pause()

    # One request after the other.

    def _may_begin(self) -> bool:
        return self._task is None and not self._pauses_writing and self._linger_bytes is None

    def _proceed(self) -> None:
        """Begin what has come whole, as long as nothing is in work and the client reads its answers."""
        reader = self._reader
        while self._may_begin():
            if reader.whole:
                self._begin(reader.whole.popleft())
            elif self._ahead:
                data = bytes(self._ahead[: reader.appetite])
                del self._ahead[: len(data)]
                self._receive_or_pause()
                reader.feed(data)
            else:
                if reader.is_receiving:
                    self._await_rest()
                return

    def _await_rest(self) -> None:
        if not self._is_timed:
            self._is_timed = True
            self._expire_in(self._timeout_s)
        if self._reader.begins_to_await_continue():
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
        keeps, is_head = request.keeps and not connections.is_draining(), call.method == "HEAD"
        try:
            data = encode_answer(answer, date=connections.date, keeps=keeps, is_head=is_head)
        except Exception:  # noqa: BLE001 - as above
            log.exception("an answer could not be sent")
            keeps = False
            data = encode_answer(FAILURE, date=connections.date, keeps=False, is_head=is_head)
        if call.body:
            self._reader.held_bytes -= len(call.body)
            self._count_bodies()
        self._rest()
        self._transport.write(data)
        if not keeps:
            self._linger(may_still_send=request.error is not None)

    # What may still come, and how long it may take.

    def _rest(self) -> None:
        """Wait for the next request; for a short time only when the worker stops."""
        self._expire_in(LINGER_S if self._connections.is_draining() else IDLE_S)

    def _expire_in(self, seconds: float) -> None:
        self.expires_s = self._loop.time() + seconds

    def _receive_or_pause(self) -> None:
        """Receive only as long as the client is not far ahead of its answers and its body is not held up."""
        is_wanted = self._left_s is None and len(self._ahead) <= AHEAD_BYTES
        if is_wanted != self._transport.is_reading() and not self._transport.is_closing():
            (self._transport.resume_reading if is_wanted else self._transport.pause_reading)()

    def _count_bodies(self) -> None:
        """Tell the worker how much this connection holds, and how much of that is a body that still comes."""
        held_bytes, before = self._reader.held_bytes, self._held_bytes
        if held_bytes or before:
            self._held_bytes = held_bytes
            self._connections.bodies.count(self, held_bytes - before, self._reader.size)

    def _linger(self, *, may_still_send: bool) -> None:
        """Send nothing more, and throw away what comes: unread bytes would reset the connection, and lose the last answer."""
        if self._linger_bytes is None:
            self._linger_bytes = LINGER_BYTES
            self._ahead.clear()
            self._receive_or_pause()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            elif not may_still_send:
                self._close()  # TLS has no end of one direction, by which a client would know that no more comes
                return
        if not self._pauses_writing:
            self._expire_in(LINGER_S)

    def _close(self) -> None:
        """Close when everything is sent; a client that does not read is not waited for."""
        self._expire_in(self._timeout_s)
        self._transport.close()

    def _has_read(self) -> bool:
        """Whether the client has read anything of its answer since this was asked."""
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before
