"""gunicorn's thread worker, with an orderly end and patience that ends."""

import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from io import BytesIO
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from gateway.arrival import ARRIVED
from gateway.worker import unread
from gateway.worker.connection import JsonErrors, PatientSocket
from gateway.worker.leaving import Leaving
from gateway.worker.plain import Head, begun

STOP_SIGNALS = (signal.SIGTERM, signal.SIGQUIT)

_HEAD_BYTES = 4096  # looked at before a request is refused
_WATCHING = ("GET", "HEAD")
_BODY = ("CONTENT-LENGTH", "TRANSFER-ENCODING")


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """A thread for each request.

    Those that wait for one or have it are at most ``max_in_flight``, but for GETs without a body. ``refuse`` gives the whole
    answer to one too many: to its head, and whether its connection is closed then. A thread waits ``read_timeout_s`` for a
    request, and a connection that has sent nothing yet costs none. After SIGTERM the worker goes on serving as not ready for
    ``drain_delay_s`` and lets go of its clients, then it stops.
    """

    is_draining = False
    drain_delay_s = 0.0
    read_timeout_s = 10.0
    max_in_flight = 512
    refuse: Callable[[Head, bool], bytes] = staticmethod(
        lambda head, closes: (
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: %s\r\nContent-Length: 0\r\n\r\n"
            % (b"close" if closes else b"keep-alive")
        )
    )
    wsgi: Any
    sockets: list[Any]
    _leaving: Leaving

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handed_over = 0

    def load_wsgi(self) -> None:
        """As gunicorn. The application learns how long a request has waited for a thread, and the client if it must go."""
        super().load_wsgi()
        self.application = self.wsgi
        self.wsgi = partial(_served, self.application)

    def init_signals(self) -> None:
        """As gunicorn. Ctrl-C goes to the arbiter too, which tells the worker what to do."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # What came while the process was not yet a worker is told it now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def run(self) -> None:
        """Serve until told to stop."""
        self._leaving = Leaving(self.poller, self._count_out)
        super().run()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM. A second one ends the delay."""
        is_first = not self.is_draining
        self.is_draining = True
        # From now on every answer says Connection: close.
        self.cfg.set("keepalive", 0)
        if not is_first or not self.drain_delay_s:
            super().handle_exit(sig, frame)
            return
        delay = threading.Timer(self.drain_delay_s, super().handle_exit, (sig, None))
        delay.daemon = True
        delay.start()

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """As gunicorn, but nobody waits for a client that is to close.

        A connection that was promised to be kept is, for a while, also when the worker is told to stop.
        """
        self._handed_over -= 1
        if not fs.cancelled() and fs.exception() is None and not fs.result():
            self._leaving.see_off(conn)
            return
        super().finish_request(conn, fs)
        if self.is_draining and self.keepalived_conns and self.keepalived_conns[-1] is conn:
            conn.timeout = time.monotonic() + STOP_KEEPALIVE_LINGER

    def enqueue_req(self, conn: Any) -> None:
        """A new connection waits in the poller, not in a thread, for its first byte."""
        if isinstance(conn.sock, PatientSocket):
            head = self._one_too_many(_beginning(conn)) if self._handed_over >= self.max_in_flight else None
            if head is None:
                self._wait_for_thread(conn)
            else:
                self._turn_away(conn, head)
            return
        conn.sock = PatientSocket(conn.sock, self.read_timeout_s)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.read_timeout_s
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _wait_for_thread(self, conn: Any) -> None:
        self._handed_over += 1
        conn.sock.enter_queue()
        super().enqueue_req(conn)

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn; at the end who waits to be let in is, as far as there is room, and who comes later is turned away.

        A connection that nobody has let in is reset when the last process that listens closes its socket.
        """
        if enabled or self.alive or not self.is_draining:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            self._let_all_in(listener)
        super().set_accept_enabled(False)
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            listener.close()

    def _let_all_in(self, listener: Any) -> None:
        let_in = -1
        while let_in < self.nr_conns < self.worker_connections:
            let_in = self.nr_conns
            self.accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        """Nor are those waited for, when stopping, that have sent nothing yet."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _one_too_many(self, data: bytes) -> Head | None:
        """The head of the request that begins with ``data``, if it must be refused: whoever only watches never is."""
        if self._handed_over < self.max_in_flight or not data:
            return None
        head = begun(data[:_HEAD_BYTES])
        return None if head.method in _WATCHING and not any(name in _BODY for name, _ in head.fields) else head

    def _turn_away(self, conn: Any, head: Head) -> None:
        with suppress(OSError):  # gone, or one that reads none of its answers: else so little always fits
            conn.sock.setblocking(False)
            conn.sock.bare().send(self.refuse(head, True))
        self._leaving.see_off(conn)

    def _count_out(self) -> None:
        self.nr_conns -= 1

    def murder_pending(self) -> None:
        """As gunicorn; and let go of those who take too long to close."""
        super().murder_pending()
        self._leaving.close_expired()

    def handle(self, conn: Any) -> Any:
        """Answer one request, whose head and body must arrive in time."""
        conn.sock.leave_queue()
        conn.sock.begin_request()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """As gunicorn, but a body that a client waits with is asked for when the application reads it."""
        if req._expected_100_continue:
            unread.expect(req, conn.sock)
        return bool(super().handle_request(req, conn))

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Where the connection is kept, all of the body has come (``unread``): what was not read of it goes with it."""
        conn.parser.mesg.body = BytesIO()
        return keepalive

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What is refused before it reaches the application: a client gets JSON here too."""
        super().handle_error(req, JsonErrors(client), addr, exc)


def _served(application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    unread.be_frank(getattr(start_response, "__self__", None))
    waited_s = getattr(environ.get("gunicorn.socket"), "waited_s", 0.0)
    if waited_s:
        environ[ARRIVED] = time.perf_counter() - waited_s
    return application(environ, start_response)


def _beginning(conn: Any) -> bytes:
    """The first bytes of a request, which nobody has read or which came behind the one before."""
    if conn.parser is not None and conn.parser.unreader.buf.getvalue():
        data: bytes = conn.parser.unreader.buf.getvalue()
        return data
    try:
        return conn.sock.bare().recv(_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # type: ignore[no-any-return]
    except (OSError, ValueError):  # TLS cannot be looked into
        return b""
