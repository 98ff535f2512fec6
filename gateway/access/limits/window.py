"""An exact window: the times of the last requests, so that no period has more than the limit.

Its cells are: how many requests there were ever, how many of them have expired, and a ring of the times of the others.
"""

from typing import Any

from gateway.access.limits.meter import Cells


class Window:
    """At most ``amount`` requests in every ``period_ns``: a Meter.

    ``at`` is the index of its row's first cell in ``cells``; ``ring_at`` that of the ring's first time, and ``stride``
    the distance to the next.
    """

    __slots__ = ("_amount", "_at", "_cells", "_period_ns", "_ring_at", "_seen_ns", "_stride")

    def __init__(self, cells: Cells, at: int, *, ring_at: int, stride: int, amount: int, period_ns: int) -> None:
        self._cells = cells
        self._at = at
        self._ring_at = ring_at
        self._stride = stride
        self._amount = amount
        self._period_ns = period_ns
        self._seen_ns = 0

    def room(self, now_ns: int, others: int = 0, gateways: int = 1) -> int:
        """How many requests may come at ``now_ns``; it may be negative."""
        return self._share(others, gateways) - self._used(now_ns)

    def wait_ns(self, now_ns: int, cost: int = 1, others: int = 0, gateways: int = 1) -> int:
        """How long from ``now_ns`` until one request may come; 0 if it may now."""
        used, share = self._used(now_ns), self._share(others, gateways)
        if used < share:
            return 0
        if share <= 0:
            return self._period_ns
        return self._time(self._cells[self._at] - share) + self._period_ns - now_ns

    def try_take(self, now_ns: int, cost: int = 1) -> bool:
        """Whether a request may come at ``now_ns``, which is counted then."""
        if self._used(now_ns) >= self._amount:
            return False
        self.take(now_ns)
        return True

    def take(self, now_ns: int, cost: int = 1, gateways: int = 1) -> None:
        """Count a request that comes at ``now_ns``, and none came later; with -1 take back the last one."""
        cells, at = self._cells, self._at
        count = cells[at]
        if cost > 0:
            cells[self._ring_at + count % self._amount * self._stride] = now_ns
            cells[at + 2] = now_ns + self._period_ns
        # After the time: a worker that dies between the two leaves a sound ring.
        cells[at] = count + cost
        self._seen_ns = now_ns

    take_leased = take

    def seen(self) -> tuple[int, int]:
        """The room when it was looked at last, and in how many seconds the next of the used places was free then."""
        count, expired = self._cells[self._at], self._cells[self._at + 1]
        if count <= expired:
            return self._amount, 0
        wait_ns = self._time(expired) + self._period_ns - self._seen_ns
        return max(0, self._amount - count + expired), max(0, -(-wait_ns // 10**9))

    def report(self, now_ns: int) -> dict[str, Any]:
        """How many microseconds before ``now_ns`` the requests came that count, the oldest first."""
        used, count = self._used(now_ns), self._cells[self._at]
        return {"ages": [(now_ns - self._time(number)) // 1000 for number in range(count - used, count)]}

    def learn(self, now_ns: int, reset_ns: int) -> None:
        """Do nothing: it knows when its requests came."""

    def _share(self, others: int, gateways: int) -> int:
        return min(max(1, self._amount // gateways), self._amount - others)

    def _used(self, now_ns: int) -> int:
        self._seen_ns = now_ns
        cells, at = self._cells, self._at
        count, before = cells[at], cells[at + 1]
        oldest_ns = now_ns - self._period_ns
        if count == before or (self._time(before) > oldest_ns and count - before <= self._amount):
            return count - before
        expired = max(before, count - self._amount)
        if self._time(count - 1) <= oldest_ns:
            expired = count
        while expired < count and self._time(expired) <= oldest_ns:
            expired += 1
        cells[at + 1] = expired
        return count - expired

    def _time(self, number: int) -> int:
        return self._cells[self._ring_at + number % self._amount * self._stride]
