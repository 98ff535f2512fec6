"""The numbers of the metrics, in files that all workers share. Each number has its room on the disk before it is written.

prometheus_client's own files have holes. Where a disk is full, the kernel ends a process that writes into one (SIGBUS). Here a
number that finds no room is kept in memory: it is missing from ``/metrics`` until there is room again.

The files are written by ``prometheus_client.mmap_dict``, which makes a file twice as long when it is full. So a file here is
made as long as that, without holes, before this happens.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from gateway.telemetry.logs import logger

log = logger("metrics")

_FIRST_BYTES: Final = 1 << 16
_HEAD_BYTES: Final = 8
_ENTRY_BYTES: Final = 28  # of an entry, at most, besides its key
_TRY_EVERY_S: Final = 1.0

Write: TypeAlias = Callable[[str, float, float], None]
"""Writes the number of a key, and when it was set in Unix time, or 0."""


class NumberFile:
    """The numbers of one kind of metric, at ``path``. Raises OSError when there is no room for them."""

    def __init__(self, path: Path) -> None:
        if not path.exists():  # otherwise a process had the same number before, and what it counted is still counted
            _make(path)
        self._path = path
        self._room = path.stat().st_size
        self._numbers = MmapedDict(str(path))  # type: ignore[no-untyped-call]
        there = [key for key, *_ in self._numbers.read_all_values()]  # type: ignore[no-untyped-call]
        self._used = _HEAD_BYTES + sum(map(_size, there))
        self.write: Write = self._numbers.write_value
        self.close: Callable[[], None] = self._numbers.close

    def begin(self, key: str) -> float:
        """The number of ``key``, which is there as 0 from now on. Raises OSError when there is no room for it."""
        used = self._used + _size(key)
        while used > self._room:
            _reserve(self._path, 2 * self._room)
            self._room *= 2
        self._used = used
        number, _ = self._numbers.read_value(key)  # type: ignore[no-untyped-call]
        return float(number)


def _size(key: str) -> int:
    return len(key.encode()) + _ENTRY_BYTES


def _make(path: Path) -> None:
    """Make the file. It gets its name when it is as long as those who read it expect."""
    new = path.with_suffix(".new")
    try:
        _reserve(new, _FIRST_BYTES)
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def _reserve(path: Path, size: int) -> None:
    with path.open("ab") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS
            file.truncate(size)


class Value:
    """One number, with the methods that prometheus_client asks for. Any thread may use it."""

    def __init__(self, file_name: str, key: str, lock: Lock, write_later: Write) -> None:
        self.file_name = file_name
        self._key = key
        self._lock = lock
        self._write_later = write_later
        self.forget()

    def forget(self) -> None:
        """Be 0, and in memory only."""
        self._number = 0.0
        self._write: Write = self._write_later

    def place(self, file: NumberFile) -> None:
        """Be in ``file`` from now on. Raises OSError when it has no room."""
        self._number += file.begin(self._key)
        self._write = file.write
        file.write(self._key, self._number, 0.0)

    def inc(self, amount: float) -> None:
        """Add ``amount``."""
        with self._lock:
            self._number += amount
            self._write(self._key, self._number, 0.0)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Be ``value``."""
        with self._lock:
            self._number = value
            self._write(self._key, value, timestamp or 0.0)

    def get(self) -> float:
        """The number of this process."""
        return self._number

    def set_exemplar(self, exemplar: object) -> None:
        """Files have no room for exemplars."""

    def get_exemplar(self) -> None:
        """There is none."""


class SharedValues:
    """All numbers of this process, in files of its own in ``folder``. A process that forks leaves its numbers behind."""

    def __init__(self, folder: Path) -> None:
        self._lock = Lock()
        self._folder = folder
        self._files: dict[str, NumberFile] = {}
        self._values: list[Value] = []
        self._waiting: list[Value] = []
        self._is_short = False
        self._tried_s = 0.0
        os.register_at_fork(after_in_child=self._begin_anew)

    def use(self) -> None:
        """Have prometheus_client make its numbers here. Metrics that were declared before stay where they are."""
        values.ValueClass = self.value

    def value(self, kind: str, *names: Any, multiprocess_mode: str = "") -> Value:
        """A new number, 0 at first, of a metric of a ``kind``: counter, gauge, histogram.

        ``names``: of the metric and of the number, of the labels, their values, and the help, as for ``mmap_key``.
        """
        file_name = f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind
        made = Value(file_name, mmap_key(*names), self._lock, self._write_later)
        with self._lock:
            self._values.append(made)
            self._place([made])
        return made

    def _write_later(self, key: str, value: float, timestamp: float) -> None:
        """A number that is in memory only has changed: look whether there is room by now, at most once a second."""
        if time.monotonic() < self._tried_s + _TRY_EVERY_S:
            return
        waiting, self._waiting = self._waiting, []
        self._place(waiting)
        if not self._waiting:
            self._is_short = False
            log.warning("metrics.room_again", folder=str(self._folder))

    def _place(self, values: Sequence[Value]) -> None:
        """Put them into their files. When one finds no room, those behind it wait with it."""
        for place, value in enumerate(values):
            try:
                value.place(self._file(value.file_name))
            except OSError as error:
                self._wait(values[place:], error)
                return

    def _wait(self, values: Sequence[Value], error: OSError) -> None:
        self._waiting += values
        self._tried_s = time.monotonic()
        if not self._is_short:
            self._is_short = True
            consequence = "new numbers are missing from /metrics until there is room"
            log.warning("metrics.no_room", folder=str(self._folder), reason=error.strerror, consequence=consequence)

    def _file(self, name: str) -> NumberFile:
        if name not in self._files:
            self._files[name] = NumberFile(self._folder / f"{name}_{os.getpid()}.db")
        return self._files[name]

    def _begin_anew(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}
        self._waiting = []
        self._is_short = False
        for value in self._values:
            value.forget()
        self._place(self._values)
