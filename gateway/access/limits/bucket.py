"""A rate: the generic cell rate algorithm (ITU-T I.371), which needs one time for each caller however large the limit is.

At most ``burst + amount * d / period`` is admitted in every time ``d``. The arithmetic is exact: the time is kept in whole
nanoseconds and a fraction, in ``amount``-ths of a nanosecond.
"""

from typing import Any, Final

from gateway.access.limits.meter import Cells

_MAX_WAIT_NS: Final = 365 * 86400 * 10**9  # longer times may not fit 64 bits


class Bucket:
    """``amount`` every ``period_ns``, and at most ``burst`` at once: a Meter.

    ``at`` is the index of its row's first cell. Its two counters are the time when all of the burst is there again: nanoseconds
    and the fraction. What other gateways hold is part of that time already. A gateway that does not know of the others counts
    its own for them too.
    """

    __slots__ = ("_amount", "_at", "_burst", "_cells", "_period_ns")

    def __init__(self, cells: Cells, at: int, *, amount: int, period_ns: int, burst: int) -> None:
        self._cells = cells
        self._at = at
        self._amount = amount
        self._period_ns = period_ns
        self._burst = burst

    def room(self, now_ns: int, others: int = 0, gateways: int = 1) -> int:
        """How much may come at ``now_ns``; it is negative after a debt."""
        return (self._burst * self._period_ns - self._owed(now_ns)) // (self._period_ns * min(gateways, self._burst))

    def wait_ns(self, now_ns: int, cost: int = 1, others: int = 0, gateways: int = 1) -> int:
        """How long from ``now_ns`` until ``cost`` may come, which is at most the burst; 0 if it may now."""
        late = self._owed(now_ns) + (min(cost * gateways, self._burst) - self._burst) * self._period_ns
        return max(0, -(-late // self._amount))

    def reset_ns(self, now_ns: int) -> int:
        """How long from ``now_ns`` until all of the burst is there again."""
        return -(-self._owed(now_ns) // self._amount)

    def take(self, now_ns: int, cost: int = 1, gateways: int = 1) -> int:
        """Count ``cost`` at ``now_ns``; what ``reset_ns`` is then.

        What is over the limit is a debt, which later requests wait for, a year at most. Less than 0 gives back.
        """
        cells, at = self._cells, self._at
        whole, part = divmod(self._owed(now_ns) + cost * gateways * self._period_ns, self._amount)
        if not 0 <= whole < _MAX_WAIT_NS:
            whole, part = (0, 0) if whole < 0 else (_MAX_WAIT_NS, 0)
        cells[at], cells[at + 1], cells[at + 2] = now_ns + whole, part, now_ns + whole + 1
        return whole + 1 if part else whole

    def take_leased(self, now_ns: int, cost: int = 1) -> int:
        """Count nothing: all of a lease was counted when it was granted. What ``reset_ns`` is."""
        return self.reset_ns(now_ns)

    def report(self, now_ns: int) -> dict[str, Any]:
        """In how many microseconds all of the burst is there again."""
        return {"reset": -(-self.reset_ns(now_ns) // 1000)}

    def learn(self, now_ns: int, reset_ns: int) -> None:
        """Take over what Redis knows: all of the burst is there again in ``reset_ns``."""
        cells, at = self._cells, self._at
        cells[at], cells[at + 1], cells[at + 2] = now_ns + reset_ns, 0, now_ns + reset_ns

    def _owed(self, now_ns: int) -> int:
        """What is missing of the burst, times the period."""
        cells, at = self._cells, self._at
        owed = (cells[at] - now_ns) * self._amount + cells[at + 1]
        return owed if owed > 0 else 0
