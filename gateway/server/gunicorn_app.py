"""The gateway under gunicorn: one process watches, the workers answer.

gunicorn is configured here and nowhere else. On SIGTERM or SIGINT the gateway answers what is in flight and exits with 0; a
second SIGINT ends it within seconds. SIGHUP never ends it.
"""

import logging
import math
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from gateway.server.process import raise_file_limit
from gateway.server.worker import LoopWorker, MakeParts, ServerConfig
from gateway.telemetry.metrics import WORKER_DEATHS

# A worker ends by itself when its time is up, and takes up to 8 seconds to close its parts. gunicorn kills one that has not.
_KILL_AFTER_S: Final = 10


def serve(config: ServerConfig, make_parts: MakeParts, worker_died: Callable[[int], None]) -> NoReturn:
    """Serve until told to stop. Raises SystemExit.

    ``make_parts`` is called in each worker, after the fork; ``worker_died`` with the number of each worker process that has
    ended.
    """
    Arbiter(GatewayServer(config, make_parts, worker_died)).run()
    raise SystemExit(0)


class GatewayServer(BaseApplication):  # type: ignore[misc]
    """gunicorn's application, which is its configuration here."""

    def __init__(self, config: ServerConfig, make_parts: MakeParts, worker_died: Callable[[int], None]) -> None:
        self._config = config
        self._make_parts = make_parts
        self._worker_died = worker_died
        self._max_connections = raise_file_limit()
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn: nothing else configures it, neither its command line nor a file."""
        config = self._config
        values: dict[str, Any] = {
            "bind": [_bind_address(config.host, config.port)],
            "workers": config.workers or usual_workers(_cores()),
            "worker_class": LoopWorker,
            "graceful_timeout": config.graceful_timeout_s + math.ceil(config.drain_delay_s) + _KILL_AFTER_S,
            "control_socket_disable": True,
            "logger_class": PropagatingLogger,
            "loglevel": config.log_level.lower(),
            "when_ready": self._set_signals,
            "post_fork": self._post_fork,
            "child_exit": self._child_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def _set_signals(self, arbiter: Arbiter) -> None:
        _let_ctrl_c_be_a_stop(arbiter)
        if self._config.ignores_hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _post_fork(self, arbiter: Arbiter, worker: LoopWorker) -> None:
        worker.configure(self._config, self._max_connections, self._make_parts, arbiter.SIG_QUEUE)

    def _child_exit(self, arbiter: Arbiter, worker: LoopWorker) -> None:
        if not worker.was_told_to_stop:
            WORKER_DEATHS.inc()
        self._worker_died(worker.pid)


def _let_ctrl_c_be_a_stop(arbiter: Arbiter) -> None:
    """Ctrl-C stops in order, as SIGTERM does; while that goes on, gunicorn takes the next for a quick end."""

    def handle(sig: int, frame: FrameType | None) -> None:
        is_stopping = not arbiter.LISTENERS
        arbiter.signal(signal.SIGINT if is_stopping else signal.SIGTERM, frame)

    signal.signal(signal.SIGINT, handle)


class PropagatingLogger(Logger):  # type: ignore[misc]
    """gunicorn's events through the gateway's own log."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's handlers off: the root logger has the one that writes JSON."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # What gunicorn calls information, such as the number of each worker, is only of use for debugging.
        self.error_log.setLevel(logging.WARNING if cfg.loglevel == "info" else self.loglevel)


def usual_workers(cores: int) -> int:
    """As many as leave half of the cores to the model server."""
    return max(1, cores // 2)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _bind_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
