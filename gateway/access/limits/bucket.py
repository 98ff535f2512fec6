"""A rate: the generic cell rate algorithm (ITU-T I.371), which needs one time for each caller however large the limit is.

At most ``burst + amount * d / period`` is admitted in every time ``d``. The arithmetic is of whole numbers: a tick is a
nanosecond or, where ``period / amount`` is no whole number of them, down to a sixteenth of one. What is no whole number of
ticks even so is rounded up: the time between two requests is longer than it should be, by less than a tick.
"""

from math import gcd
from typing import Any, Final

from gateway.access.limits.meter import Cells

_MAX_TICKS: Final = 16  # a nanosecond: 64 bits hold the ticks of 18 years
_MAX_WAIT_NS: Final = 365 * 86400 * 10**9


class Bucket:
    """``amount`` every ``period_ns``, and at most ``burst`` at once: a Meter.

    ``at`` is the index of its row's first cell. Its first counter is the tick when all of the burst is there again. What other
    gateways hold is part of that time already. A gateway that does not know of the others counts its own for them too.
    """

    __slots__ = ("_at", "_burst", "_cells", "_each", "_owed", "_second", "_ticks", "_whole")

    def __init__(self, cells: Cells, at: int, *, amount: int, period_ns: int, burst: int) -> None:
        self._cells = cells
        self._at = at
        self._burst = burst
        self._ticks = min(amount // gcd(amount, period_ns), _MAX_TICKS)
        self._each = -(-period_ns * self._ticks // amount)
        self._whole = self._each * burst
        self._second = 10**9 * self._ticks
        self._owed = 0

    def room(self, now_ns: int, others: int = 0, gateways: int = 1) -> int:
        """How much may come at ``now_ns``; it is negative after a debt."""
        return (self._whole - self._look(now_ns)) // (self._each * min(gateways, self._burst))

    def wait_ns(self, now_ns: int, cost: int = 1, others: int = 0, gateways: int = 1) -> int:
        """How long from ``now_ns`` until ``cost`` may come, which is at most the burst; 0 if it may now."""
        late = self._look(now_ns) + self._each * min(cost * gateways, self._burst) - self._whole
        return -(-late // self._ticks) if late > 0 else 0

    def try_take(self, now_ns: int, cost: int = 1) -> bool:
        """Whether there is room at ``now_ns`` for ``cost``, which is counted then; 0 only asks for room."""
        cells, at, each = self._cells, self._at, self._each
        now = now_ns * self._ticks
        owed = cells[at] - now
        if owed < 0:  # noqa: PLR1730 (max() takes three times as long)
            owed = 0
        if owed + each * (cost or 1) > self._whole:
            return False
        self._owed = owed = owed + each * cost
        cells[at] = now + owed
        cells[at + 2] = now_ns + owed
        return True

    def take(self, now_ns: int, cost: int = 1, gateways: int = 1) -> None:
        """Count ``cost`` at ``now_ns``. What is over the limit is a debt, which later requests wait for, a year at most."""
        owed = self._look(now_ns) + self._each * cost * gateways
        self._set(now_ns, min(max(0, owed), _MAX_WAIT_NS * self._ticks))

    def take_leased(self, now_ns: int, cost: int = 1) -> None:
        """Count nothing: all of a lease was counted when it was granted."""

    def seen(self) -> tuple[int, int]:
        """The room when it was looked at last, and in how many seconds all of the burst was there then."""
        owed = self._owed
        room = (self._whole - owed) // self._each
        return room if room > 0 else 0, -(-owed // self._second)

    def report(self, now_ns: int) -> dict[str, Any]:
        """In how many microseconds all of the burst is there again."""
        return {"reset": -(-self._look(now_ns) // (1000 * self._ticks))}

    def learn(self, now_ns: int, reset_ns: int) -> None:
        """Take over what Redis knows: all of the burst is there again in ``reset_ns``."""
        self._set(now_ns, reset_ns * self._ticks)

    def _look(self, now_ns: int) -> int:
        """The ticks until all of the burst is there again."""
        self._owed = max(0, self._cells[self._at] - now_ns * self._ticks)
        return self._owed

    def _set(self, now_ns: int, owed: int) -> None:
        self._owed = owed
        self._cells[self._at] = now_ns * self._ticks + owed
        self._cells[self._at + 2] = now_ns + owed
