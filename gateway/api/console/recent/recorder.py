"""Has one worker of all record the figures. Another one goes on when that one ends, with what is there already.

The one that records holds the lock of a file, which the kernel gives back whatever way a process ends.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway.api.console.recent.counts import NAMES
from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.place import Place
from gateway.api.console.recent.shared_place import SharedPlace
from gateway.api.console.recent.ticking import GRAIN_S, Clocks, Ticking
from gateway.inference.status import ModelStatus
from gateway.telemetry.logs import logger
from gateway.telemetry.reading.process import ProcessReader
from gateway.telemetry.reading.shared import SharedReader

log = logger("console")

_LOCK: Final = "console_recorder.lock"

Models = Callable[[], Sequence[ModelStatus]]
Plans = Callable[[], Mapping[str, str]]
"""The ids of the open plans by model."""


class Lock(Protocol):
    """What only one worker has."""

    def take(self) -> bool:
        """Whether this worker has it, from now on if not before."""

    def release(self) -> None:
        """Have it no more."""


class Recorder:
    """Records in ``place`` while it is this worker's turn. For one event loop, after the fork; the work is done in a thread."""

    def __init__(self, folder: Path | None, models: Models, plans: Plans, clocks: Clocks | None = None) -> None:
        self.place: Place = OwnPlace() if folder is None else SharedPlace(folder)
        self._folder = folder
        self._models = models
        self._plans = plans
        self._clocks = clocks or Clocks()
        self._lock = _NoLock() if folder is None else _FileLock(folder / _LOCK)
        self._ticking: Ticking | None = None
        self._is_short = False
        self._thread = ThreadPoolExecutor(1, "console-recorder")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the event loop that runs here."""
        self._task = asyncio.get_running_loop().create_task(self._record(), name="console recorder")

    async def close(self) -> None:
        """Stop, and leave the turn to another worker."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._lock.release()

    async def _record(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            rest_s = await loop.run_in_executor(self._thread, self._work, tuple(self._models()), dict(self._plans()))
            await asyncio.sleep(max(0.0, began_s + rest_s - loop.time()))

    def _work(self, models: Sequence[ModelStatus], plans: Mapping[str, str]) -> float:
        """Make a tick if it is this worker's turn. Returns in how many seconds to look again."""
        try:
            if not self._lock.take():
                return GRAIN_S
            if self._ticking is None:
                self._ticking = self._made()
            rest_s = self._ticking.tick(models, plans)
        except Exception as error:  # noqa: BLE001  # requests are answered without figures too, and the log has it
            self._note_trouble(error)
            return GRAIN_S
        if self._is_short:
            self._is_short = False
            log.info("console.recorded_again")
        return rest_s

    def _made(self) -> Ticking:
        reader = ProcessReader(NAMES) if self._folder is None else SharedReader(self._folder, NAMES)
        return Ticking(reader, self.place, self._clocks)

    def _note_trouble(self, error: Exception) -> None:
        """Say it once, until it is over. What was counted meanwhile is in the next tick."""
        if self._is_short:
            return
        self._is_short = True
        consequence = "the console shows no new figures until it can be done"
        if isinstance(error, OSError):
            log.warning("console.not_recorded", reason=error.strerror, consequence=consequence)
        else:
            log.error("console.not_recorded", exc_info=error, consequence=consequence)


class _FileLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._has = False

    def take(self) -> bool:
        """Try to lock it. Raises OSError when the file cannot be made."""
        if self._has:
            return True
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._has = True
        return True

    def release(self) -> None:
        """Close the file, which gives the lock back."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._has = None, False


class _NoLock:
    def take(self) -> bool:
        """There is only this worker."""
        return True

    def release(self) -> None:
        """Nothing is held."""
