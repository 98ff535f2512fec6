"""The gateway under gunicorn, with the project's own configuration.

One process watches, the workers answer. A worker opens its gRPC channel after the fork and closes it before it ends. On SIGTERM
a worker first says that it is not ready (for those who balance on /readyz), then stops to accept, ends what is in flight and
exits; the whole exits with 0.
"""

import logging
import math
import selectors
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import multiprocess

from gateway.app import close, create_app
from gateway.connection import JsonErrors, PatientSocket
from gateway.settings import Settings

# Longer than the idle timeouts of the usual load balancers, so that they close a connection and never find it closed.
_KEEPALIVE_S = 75


class GatewayServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from the settings. ``run`` returns by SystemExit."""

    def __init__(self, settings: Settings, metrics_dir: Path) -> None:
        self._settings = settings
        self._metrics_dir = metrics_dir
        self._worker: DrainingWorker | None = None
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn: its own configuration sources stay out."""
        for name, value in self._gunicorn_config().items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called by gunicorn in each worker."""
        self._app = create_app(self._settings, self._is_draining, str(self._metrics_dir))
        return self._app

    def _gunicorn_config(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "bind": [_bind_address(settings.host, settings.port)],
            "workers": settings.workers,
            "worker_class": DrainingWorker,
            "threads": settings.threads,
            "graceful_timeout": settings.graceful_timeout_s + math.ceil(settings.drain_delay_ms / 1000),
            "keepalive": _KEEPALIVE_S,
            # No header of a client decides on path, scheme or script name.
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "control_socket_disable": True,
            "logger_class": PropagatingLogger,
            "loglevel": settings.log_level.lower(),
            "post_fork": self._post_fork,
            "worker_exit": self._worker_exit,
            "child_exit": _child_exit,
        }

    def _post_fork(self, arbiter: object, worker: "DrainingWorker") -> None:
        worker.drain_delay_s = self._settings.drain_delay_ms / 1000
        worker.read_timeout_s = self._settings.read_timeout_ms / 1000
        self._worker = worker

    def _worker_exit(self, arbiter: object, worker: "DrainingWorker") -> None:
        if self._app is not None:
            close(self._app)

    def _is_draining(self) -> bool:
        return self._worker is not None and self._worker.is_draining


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's thread worker, with an orderly end and patience that ends.

    After SIGTERM it goes on serving as not ready for ``drain_delay_s`` and lets go of its clients, then it stops. A thread
    waits ``read_timeout_s`` for a request, and a connection that has sent nothing yet costs none.
    """

    is_draining = False
    drain_delay_s = 0.0
    read_timeout_s = 10.0

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

    def enqueue_req(self, conn: Any) -> None:
        """A new connection waits in the poller, not in a thread, for its first byte."""
        if isinstance(conn.sock, PatientSocket):
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
        conn.sock.begin_request()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """What is refused before it reaches the application: a client gets JSON here too."""
        super().handle_error(req, JsonErrors(client), addr, exc)


class PropagatingLogger(Logger):  # type: ignore[misc]
    """gunicorn's events through the gateway's own log."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's handlers off: the root logger has the one that writes JSON."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # What gunicorn calls information, such as the number of each worker, is of use to those who debug.
        self.error_log.setLevel(logging.WARNING if cfg.loglevel == "info" else self.loglevel)


def _child_exit(arbiter: object, worker: DrainingWorker) -> None:
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _bind_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
