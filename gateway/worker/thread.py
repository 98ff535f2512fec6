"""gunicorn's thread worker, with an orderly end and patience that ends."""

import selectors
import threading
import time
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from gateway.worker.connection import ARRIVED, JsonErrors, PatientSocket


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """A thread for each request.

    After SIGTERM it goes on serving as not ready for ``drain_delay_s`` and lets go of its clients, then it stops. A thread
    waits ``read_timeout_s`` for a request, and a connection that has sent nothing yet costs none.
    """

    is_draining = False
    drain_delay_s = 0.0
    read_timeout_s = 10.0
    wsgi: Any

    def load_wsgi(self) -> None:
        """As gunicorn. The application learns how long a request has waited for a thread."""
        super().load_wsgi()
        self.application = self.wsgi
        self.wsgi = partial(_timed, self.application)

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
        """As gunicorn, but a connection that was promised to be kept is, for a while, also when the worker is told to stop."""
        super().finish_request(conn, fs)
        if self.is_draining and self.keepalived_conns and self.keepalived_conns[-1] is conn:
            conn.timeout = time.monotonic() + STOP_KEEPALIVE_LINGER

    def enqueue_req(self, conn: Any) -> None:
        """A new connection waits in the poller, not in a thread, for its first byte."""
        if isinstance(conn.sock, PatientSocket):
            conn.sock.enter_queue()
            super().enqueue_req(conn)
            return
        conn.sock = PatientSocket(conn.sock, self.read_timeout_s)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.read_timeout_s
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _cap_keepalive(self, deadline: float) -> None:
        """Nor are those waited for, when stopping, that have sent nothing yet."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:
        """Answer one request, whose head and body must arrive in time."""
        conn.sock.leave_queue()
        conn.sock.begin_request()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What is refused before it reaches the application: a client gets JSON here too."""
        super().handle_error(req, JsonErrors(client), addr, exc)


def _timed(application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    waited_s = getattr(environ.get("gunicorn.socket"), "waited_s", 0.0)
    if waited_s:
        environ[ARRIVED] = time.perf_counter() - waited_s
    return application(environ, start_response)
