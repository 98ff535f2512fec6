"""The listening sockets of a worker: which clients are accepted, and what happens when no file is left."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from gateway.server.connections import Connections

# An idle worker takes one at a time, so that idle workers share those that come at once.
_ACCEPTS_AT_WORK: Final = 16
_PAUSE_S: Final = 0.5
_NO_ROOM: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_HANDSHAKE_S: Final = 10.0
_ENTER_WITHIN_S: Final = 1.0  # when the worker stops

log = logging.getLogger("gateway.server")


class Acceptor:
    """Accepts clients, at most ``max_connections`` at a time; the others wait in the listening sockets' queues.

    When no file is left for a further connection, it waits a moment and logs this once until there are files again.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        connections: Connections,
        make_protocol: Callable[[], asyncio.Protocol],
        max_connections: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listeners = list(listeners)
        self._connections = connections
        self._make_protocol = make_protocol
        self._max_connections = max_connections
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_short_of_files = False

    def start(self) -> None:
        """Begin to let clients in."""
        for listener in self._listeners:
            listener.setblocking(False)
            self._listen(listener)

    async def close(self) -> None:
        """Let those in that wait already, as far as there is room, and close the sockets: later clients are refused.

        A connection that nobody has let in is reset when the last process that listens closes its socket.
        """
        self._is_closed = True
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            while self._accept(listener):
                pass
            listener.close()
        if self._entering:
            _, late = await asyncio.wait(self._entering, timeout=_ENTER_WITHIN_S)
            for task in late:
                task.cancel()

    def _on_readable(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_AT_WORK if self._connections.in_work else 1):
            if not self._accept(listener):
                return

    def _accept(self, listener: socket.socket) -> bool:
        """Let one client in; False when there is none, or no room."""
        if len(self._connections.open) + len(self._entering) >= self._max_connections:
            self._pause(listener)
            return False
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._run_short(listener, error)
            # A client that has gone before it was let in is no reason to stop.
            return error.errno == errno.ECONNABORTED
        self._is_short_of_files = False
        sock.setblocking(False)
        task = self._loop.create_task(self._let_in(sock))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        return True

    async def _let_in(self, sock: socket.socket) -> None:
        timeout_s = _HANDSHAKE_S if self._tls else None
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, sock, ssl=self._tls, ssl_handshake_timeout=timeout_s)
        except (OSError, ssl.SSLError):  # the client has gone, or speaks no TLS
            sock.close()

    def _run_short(self, listener: socket.socket, error: OSError) -> None:
        if not self._is_short_of_files:
            log.error("no connection can be accepted: %s", error.strerror)
        self._is_short_of_files = True
        self._pause(listener)

    def _pause(self, listener: socket.socket) -> None:
        if not self._is_closed:
            self._loop.remove_reader(listener)
            self._loop.call_later(_PAUSE_S, self._listen, listener)

    def _listen(self, listener: socket.socket) -> None:
        if not self._is_closed:
            self._loop.add_reader(listener, self._on_readable, listener)
