"""Clients of the thread worker that are answered for the last time, and are waited for until they close.

gunicorn waits for each of them in the thread that watches all connections, and everybody else with it.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER

_LEAVING_BYTES = 65536  # as gunicorn.util.close_graceful


class Leaving:
    """The connections that wait for their clients, for the thread of ``poller``; ``closed`` is told of each that is closed."""

    def __init__(self, poller: selectors.BaseSelector, closed: Callable[[], None]) -> None:
        self._poller = poller
        self._closed = closed
        self._received: dict[Any, int] = {}  # bytes of each connection, the oldest first

    def see_off(self, conn: Any) -> None:
        """Say that no more comes, and wait for the client to close: unread bytes would make its last answer vanish."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self._poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))
        except (OSError, ValueError):  # gunicorn closes it by itself when an application fails after its first bytes
            self._close(conn)
            return
        conn.timeout = time.monotonic() + STOP_KEEPALIVE_LINGER
        self._received[conn] = 0

    def close_expired(self) -> None:
        """Let go of those who take too long."""
        while self._received and (oldest := next(iter(self._received))).timeout <= time.monotonic():
            self._let_go(oldest)

    def _on_readable(self, conn: Any, sock: Any) -> None:
        try:
            size = len(sock.recv(_LEAVING_BYTES))
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            size = 0
        self._received[conn] += size
        if not size or self._received[conn] > _LEAVING_BYTES:
            self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        del self._received[conn]
        self._poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: Any) -> None:
        conn.close()
        self._closed()
