"""The rows of one worker that wait to be written, bounded in bytes and in number.

One thread puts entries in and another one takes them out, without a lock: each number here is changed by one thread only.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from gateway.prediction_log.entry import Entry

BATCH_ROWS: Final = 1000
BATCH_BYTES: Final = 4 * 2**20


class RowQueue:
    """Entries in their order. Those that were taken count until they are ``done``, because they are still in memory."""

    def __init__(self, max_bytes: int, max_rows: int) -> None:
        self._max_bytes = max_bytes
        self._many_bytes = max_bytes // 4
        self._max_rows = max_rows
        self._entries: deque[Entry] = deque()
        self._is_due = threading.Event()
        self._rows_in = self._bytes_in = 0
        self._rows_out = self._bytes_out = 0

    def __len__(self) -> int:
        return self._rows_in - self._rows_out

    @property
    def bytes(self) -> int:
        """What the entries take in memory."""
        return self._bytes_in - self._bytes_out

    def has_room(self, size: int) -> bool:
        """Whether an entry of ``size`` bytes may be put in."""
        return self._bytes_in - self._bytes_out + size <= self._max_bytes and self._rows_in - self._rows_out < self._max_rows

    def put(self, entry: Entry) -> bool:
        """Add ``entry`` and return True; return False if there is no room. It never waits."""
        size = self._bytes_in - self._bytes_out + entry.size
        if size > self._max_bytes or self._rows_in - self._rows_out >= self._max_rows:
            return False
        self._rows_in += 1
        self._bytes_in += entry.size
        self._entries.append(entry)
        if (size >= self._many_bytes or len(self._entries) >= BATCH_ROWS) and not self._is_due.is_set():
            self._is_due.set()
        return True

    def wait(self, timeout_s: float) -> None:
        """Wait for a full batch, for many bytes, for ``wake``, or for ``timeout_s``."""
        self._is_due.wait(timeout_s)
        self._is_due.clear()

    def wake(self) -> None:
        """End the wait of another thread."""
        self._is_due.set()

    def take(self) -> list[Entry]:
        """The oldest entries, at most a batch of them."""
        batch: list[Entry] = []
        size = 0
        while self._entries and len(batch) < BATCH_ROWS and size < BATCH_BYTES:
            batch.append(self._entries.popleft())
            size += batch[-1].size
        return batch

    def done(self, batch: Sequence[Entry]) -> None:
        """Give up entries that were taken."""
        self._rows_out += len(batch)
        self._bytes_out += sum(entry.size for entry in batch)
