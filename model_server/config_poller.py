"""Follows ``--model_config_file``: applies what differs from the running configuration; a bad file changes nothing.

Nobody is told OK here, so the versions that a file asks for are not waited for: a slow load does not hold up the next file.
"""

import threading

import structlog

from model_server import config
from model_server.core import Core
from model_server.status import ServingError

log = structlog.get_logger()


class ConfigPoller:
    """Reads the file every ``wait_s`` seconds. A file that was refused is tried again, but reported once."""

    def __init__(self, path: str, wait_s: float, core: Core) -> None:
        self._path = path
        self._wait_s = wait_s
        self._core = core
        self._problem: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll_forever, name="config", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the polling."""
        self._stop.set()
        self._thread.join()

    def _poll_forever(self) -> None:
        while not self._stop.wait(self._wait_s):
            try:
                self._poll()
                self._problem = None
            except ServingError as error:
                self._report(str(error))

    def _poll(self) -> None:
        models = config.from_file(self._path)
        if models != self._core.models:
            self._core.replace(models, give_up=self._stop.is_set)
            log.info("config.reloaded", path=self._path, models=sorted(models))

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            log.error("config.refused", path=self._path, error=problem)
        self._problem = problem
