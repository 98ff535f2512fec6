"""The table that the workers of a gateway count in: shared memory, made before the workers are forked.

Each row belongs to one caller and one limit. It is found by its fingerprint among the rows of a small set, as in a processor's
cache. A row is given to another caller only when nothing of it counts any more, and a caller that finds no such row shares one
with all others like it: the table never grows, and no flood of addresses makes it forget a count. Callers with a key and
addresses have rows of their own.

One lock guards all. It is a POSIX lock on a file, which the kernel takes from a worker that dies. Such a worker leaves at most
its own last request uncounted. The lock costs a request more than all else that is done here, so a worker that is alone goes
without it. Memory that no caller has used yet takes no space.
"""

import fcntl
import mmap
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Final

from gateway.access.limits.bucket import Bucket
from gateway.access.limits.in_flight import InFlight
from gateway.access.limits.limit import MAX_WINDOW, Limit
from gateway.access.limits.meter import Cells, Meter
from gateway.access.limits.window import Window

# The cells of a row, after the two counters of its meter.
FORGOTTEN: Final = 2  # when nothing of the row counts any more, in nanoseconds as all times
LEASE: Final = 3  # what may be taken of the lease
LEASE_LOW: Final = 4  # from here on a new one is asked for
LEASE_ENDS: Final = 5
ASK_AGAIN: Final = 6  # nobody asks before
UNCHARGED: Final = 7  # what Redis has not been told yet: taken ahead of a lease, less what was given back
OTHERS: Final = 8  # what other gateways hold
OTHERS_END: Final = 9  # when that is forgotten
ROOM_AT: Final = 10  # when Redis expects more room
_FINGERPRINT: Final = 11
_ROW: Final = 12

_SETTLE_S: Final = 0.1  # in which a worker that was alone, and has not locked, ends what it was counting
_WAYS: Final = 16
_MAX_WORKERS: Final = MAX_WINDOW
_NO_RESERVE: Final = getattr(mmap, "MAP_NORESERVE", 0x4000)


class LimitTable:
    """Rows for ``capacity`` keys and as many addresses, each with one limit: 100 bytes a row, and 8 for each time of a window.

    It is made before the fork. After it each worker calls ``join`` and uses the table from one thread, within ``lock`` and
    ``unlock``; its parent calls ``worker_died``.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        # The last set of each half is for those that found no row.
        self._sets = max(1, capacity // _WAYS) + 1
        self._rows = 2 * self._sets * _WAYS
        self._lives_at = self._rows * _ROW
        self._pids_at = self._lives_at + 1 + _MAX_WORKERS
        self._store_at = self._pids_at + _MAX_WORKERS
        self._workers_at = self._store_at + 1
        self.nobodys_at: Final = self._workers_at + 1
        """The index of a cell that stays 0, as if it said whose a row is that belongs to nobody."""
        self._ring_at = self.nobodys_at + 1
        size = (self._ring_at + self._rows * MAX_WINDOW) * 8
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NO_RESERVE
        self.cells: Cells = memoryview(mmap.mmap(-1, size, flags=flags)).cast("q")
        self._secret = os.urandom(16)
        lock_fd, path = tempfile.mkstemp()
        os.unlink(path)
        weakref.finalize(self, os.close, lock_fd)
        self._lock = partial(fcntl.lockf, lock_fd, fcntl.LOCK_EX)
        self._unlock = partial(fcntl.lockf, lock_fd, fcntl.LOCK_UN)
        self._is_locked = False
        self._worker = 0
        self.name = self._secret.hex()
        """The name of this gateway among several; nobody can guess it."""

    def lock(self) -> None:
        """Keep the other workers out, if there are any, for some microseconds. Waits for the worker that has the lock."""
        if self.cells[self._workers_at] != 1:
            self._lock()
            self._is_locked = True

    def unlock(self) -> None:
        """Let the other workers in."""
        if self._is_locked:
            self._is_locked = False
            self._unlock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other workers out for what is no request."""
        self._lock()
        try:
            yield
        finally:
            self._unlock()

    def join(self) -> None:
        """Become one of the workers; called once in each, after the fork. Waits a moment when there are others.

        Raises:
            RuntimeError: there are 256 already.
        """
        with self.locked():
            self._worker = next((worker for worker in range(_MAX_WORKERS) if not _lives(self._pid(worker))), -1)
            if self._worker < 0:
                raise RuntimeError(f"expected at most {_MAX_WORKERS} workers that share limits")
            self._end_life(self._worker, os.getpid())
            self.cells[self._lives_at] = max(self.cells[self._lives_at], self._worker + 1)
            is_alone = self._count_workers() == 1
        if not is_alone:
            time.sleep(_SETTLE_S)

    def worker_died(self, pid: int) -> None:
        """Forget the requests that the worker had in work. For its parent process."""
        with self.locked():
            for worker in range(self.cells[self._lives_at]):
                if self._pid(worker) == pid:
                    self._end_life(worker, 0)
            self._count_workers()

    def note_store(self, is_up: bool) -> bool:
        """Note whether Redis answers; whether that is news for all workers. Within the lock."""
        before, self.cells[self._store_at] = self.cells[self._store_at], 1 if is_up else 2
        return before != self.cells[self._store_at] and (before, is_up) != (0, True)

    def fingerprint(self, scope: str, name: str, limit: str) -> int:
        """What a row is found by, never 0. Nobody outside can make two that are the same."""
        text = f"{scope}\0{name}\0{limit}".encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._secret).digest(), "big", signed=True) or 1

    def find(self, fingerprint: int, is_address: bool, now_ns: int) -> int | None:
        """The row of ``fingerprint``, or one that nobody needs any more, as its own; None if all of its set are needed."""
        half = self._sets * _WAYS * is_address
        return self._find_in(half + fingerprint % (self._sets - 1) * _WAYS, fingerprint, now_ns)

    def find_shared(self, fingerprint: int, is_address: bool, now_ns: int) -> int:
        """A row for those that found none, which they share by their limit's ``fingerprint``."""
        first = (self._sets * (1 + is_address) - 1) * _WAYS
        found = self._find_in(first, fingerprint, now_ns)
        return self._claim(first + fingerprint % _WAYS, fingerprint) if found is None else found

    def meter(self, limit: Limit, row: int) -> Meter:
        """What counts ``limit`` in ``row``."""
        at, ring_at = row * _ROW, self._ring_at + row
        if limit.is_parallel:
            return InFlight(
                self.cells,
                at,
                counts_at=ring_at,
                stride=self._rows,
                lives_at=self._lives_at,
                worker=self._worker,
                amount=limit.amount,
            )
        amount, period_ns = limit.amount, limit.period_ns
        if limit.is_window:
            return Window(self.cells, at, ring_at=ring_at, stride=self._rows, amount=amount, period_ns=period_ns)
        return Bucket(self.cells, at, amount=amount, period_ns=period_ns, burst=limit.at_once)

    def _find_in(self, first: int, fingerprint: int, now_ns: int) -> int | None:
        cells, forgotten = self.cells, None
        for row in range(first, first + _WAYS):
            found = cells[row * _ROW + _FINGERPRINT]
            if found == fingerprint:
                return row
            if forgotten is None and cells[row * _ROW + FORGOTTEN] <= now_ns:
                forgotten = row
        return None if forgotten is None else self._claim(forgotten, fingerprint)

    def _claim(self, row: int, fingerprint: int) -> int:
        for at in range(row * _ROW, row * _ROW + _ROW):
            self.cells[at] = 0
        for worker in range(self.cells[self._lives_at]):
            self.cells[self._ring_at + row + worker * self._rows] = 0
        self.cells[row * _ROW + _FINGERPRINT] = fingerprint
        return row

    def _count_workers(self) -> int:
        number = len({pid for pid in map(self._pid, range(self.cells[self._lives_at])) if _lives(pid)})
        self.cells[self._workers_at] = number
        return number

    def _pid(self, worker: int) -> int:
        return self.cells[self._pids_at + worker]

    def _end_life(self, worker: int, pid: int) -> None:
        self.cells[self._lives_at + 1 + worker] += 1
        self.cells[self._pids_at + worker] = pid


def row_at(row: int) -> int:
    """The index of the first cell of ``row``."""
    return row * _ROW


def fingerprint_at(row: int) -> int:
    """The index of the cell of ``row`` that says whose it is."""
    return row * _ROW + _FINGERPRINT


def _lives(pid: int) -> bool:
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
