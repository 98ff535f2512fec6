"""Ends the waiting of requests whose deadline has passed, with one timer for all of them."""

import asyncio
import math
import time
from typing import Final

from gateway.inference.batching.queue import Entry

# An event loop that counts milliseconds may call a timer so much too early.
_TOLERANCE_S: Final = 0.001


class Timeouts:
    """The entries whose outcome is awaited. Each is settled with DeadlineExceeded when its deadline passes before.

    The timer is set for the earliest deadline that was known when it was set. An entry with a later one, as nearly every entry
    has, needs no timer of its own.
    """

    def __init__(self) -> None:
        self._entries: set[Entry] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = math.inf

    def add(self, entry: Entry) -> None:
        """Watch an entry."""
        self._entries.add(entry)
        if entry.deadline.at_s < self._timer_at_s:
            self._set_timer(entry.deadline.at_s)

    def discard(self, entry: Entry) -> None:
        """Watch an entry no longer."""
        self._entries.discard(entry)

    def close(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at_s = math.inf

    def _set_timer(self, at_s: float) -> None:
        self.close()
        self._timer_at_s = at_s
        self._timer = asyncio.get_running_loop().call_later(at_s - time.monotonic(), self._end_those_due)

    def _end_those_due(self) -> None:
        self.close()
        now_s = time.monotonic() + _TOLERANCE_S
        for entry in [entry for entry in self._entries if entry.deadline.at_s <= now_s]:
            self._entries.discard(entry)
            entry.settle(entry.deadline.exceeded())
        if self._entries:
            self._set_timer(min(entry.deadline.at_s for entry in self._entries))
