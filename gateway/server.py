"""The gateway under gunicorn, with the project's own configuration.

One process watches, the workers answer. A worker opens its gRPC channel after the fork and closes it before it ends. On SIGTERM
a worker first says that it is not ready (for those who balance on /readyz), then stops to accept, ends what is in flight and
exits; the whole exits with 0. SIGINT does the same, and a second one ends it within seconds.
"""

import gc
import logging
import math
import os
import resource
import signal
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from prometheus_client import multiprocess

from gateway.api.overload import Overload
from gateway.app import close, create_app
from gateway.settings import Settings
from gateway.worker.loop import LoopWorker
from gateway.worker.thread import STOP_SIGNALS, DrainingWorker

# Longer than the idle timeouts of the usual load balancers, so that they close a connection and never find it closed.
_KEEPALIVE_S = 75

# Of one worker, as far as the limit of open files lets it have them.
_CONNECTIONS = 16_384
_OTHER_FILES = 512

_GARBAGE_THRESHOLD = 10_000  # objects more than there were

_WORKERS = {"loop": LoopWorker, "thread": DrainingWorker}


class GatewayServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from the settings. ``run`` returns by SystemExit."""

    def __init__(self, settings: Settings, metrics_dir: Path) -> None:
        self._settings = settings
        self._metrics_dir = metrics_dir
        self._worker: DrainingWorker | None = None
        self._app: Flask | None = None
        super().__init__()

    def run(self) -> None:
        """Serve until told to stop. Raises SystemExit."""
        _PatientArbiter(self).run()

    def load_config(self) -> None:
        """Called by gunicorn: its own configuration sources stay out."""
        for name, value in self._gunicorn_config().items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called by gunicorn in each worker."""
        self._app = create_app(self._settings, self._is_draining, str(self._metrics_dir))
        # What is there now stays: a collection that looks through all of it would stop every request for some 50 ms.
        gc.collect()
        gc.freeze()
        # A request leaves no cycles. Those in flight are more than the usual 700 objects, which would be looked through with
        # every tenth request.
        gc.set_threshold(_GARBAGE_THRESHOLD)
        return self._app

    def _gunicorn_config(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "bind": [_bind_address(settings.host, settings.port)],
            "workers": settings.workers or usual_workers(_cores()),
            "worker_class": _WORKERS[settings.worker],
            "threads": settings.threads,
            "worker_connections": _connections(),
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
        worker.max_in_flight = self._settings.max_in_flight
        allows_other_origins = self._settings.tfserving_cors == "on"
        worker.refuse = Overload(self._settings.max_in_flight, allows_other_origins=allows_other_origins).answer
        if isinstance(worker, LoopWorker):
            worker.max_body_bytes = self._settings.max_body_bytes
            worker.runs_in_thread = _takes_long
        self._worker = worker

    def _worker_exit(self, arbiter: object, worker: "DrainingWorker") -> None:
        if self._app is not None:
            close(self._app)

    def _is_draining(self) -> bool:
        return self._worker is not None and self._worker.is_draining


class _PatientArbiter(Arbiter):  # type: ignore[misc]
    def spawn_worker(self) -> Any:
        """As gunicorn; a new process that is told to stop before it listens to that is told again once it does."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def handle_int(self) -> None:
        """Ctrl-C is as SIGTERM; while that ends what is under way, a second one kills it."""
        self.handle_term()


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


def usual_workers(cores: int) -> int:
    """As many as leave half of the cores to the model server."""
    return max(1, cores // 2)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _connections() -> int:
    """How many clients a worker lets in: more than it serves, because who waits outside cannot be told to come later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(_CONNECTIONS // 16, min(_CONNECTIONS, soft - _OTHER_FILES))


def _takes_long(path: str) -> bool:
    """Whether handling a GET for ``path`` takes so long that others should not wait meanwhile."""
    return path.startswith(("/metrics", "/docs", "/openapi.json"))


def _child_exit(arbiter: object, worker: DrainingWorker) -> None:
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _bind_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
