"""The requests in work at a time, counted for each worker apart: those of a worker that died do not count any more."""

from typing import Any, Final

from gateway.access.limits.meter import Cells

_COUNT_BITS: Final = 24
_COUNTS: Final = (1 << _COUNT_BITS) - 1
_STALE_NS: Final = 3600 * 10**9
"""A request that is in work for longer is forgotten if its row is wanted by another caller."""


class InFlight:
    """At most ``amount`` requests in work: a Meter.

    ``at`` is the index of its row's first cell. ``counts_at`` is that of the first worker's count, and ``stride`` the distance
    to the next. ``lives_at`` is that of the number of workers, which the lives of the workers follow: a number that grows with
    each process. A count holds the life that it was made in.
    """

    __slots__ = ("_amount", "_at", "_cells", "_counts_at", "_lives_at", "_stride", "_worker")

    def __init__(self, cells: Cells, at: int, *, counts_at: int, stride: int, lives_at: int, worker: int, amount: int) -> None:
        self._cells = cells
        self._at = at
        self._counts_at = counts_at
        self._stride = stride
        self._lives_at = lives_at
        self._worker = worker
        self._amount = amount

    def room(self, now_ns: int, others: int = 0, gateways: int = 1) -> int:
        """How many requests may come; it may be negative."""
        return min(max(1, self._amount // gateways), self._amount - others) - self.count()

    def wait_ns(self, now_ns: int, cost: int = 1, others: int = 0, gateways: int = 1) -> int:
        """0 if a request may come. Nobody knows when one ends: otherwise a second."""
        return 0 if self.room(now_ns, others, gateways) > 0 else 10**9

    def try_take(self, now_ns: int, cost: int = 1) -> bool:
        """Whether a request may come at ``now_ns``, which is counted then."""
        if self.count() >= self._amount:
            return False
        self.take(now_ns)
        return True

    def take(self, now_ns: int, cost: int = 1, gateways: int = 1) -> None:
        """Count a request of this worker, or with -1 its end."""
        at = self._counts_at + self._worker * self._stride
        life = self._cells[self._lives_at + 1 + self._worker]
        self._cells[at] = (life << _COUNT_BITS) + max(0, self._of(self._worker) + cost)
        self._cells[self._at + 2] = now_ns + _STALE_NS if self.count() else now_ns

    take_leased = take

    def seen(self) -> tuple[int]:
        """The room; nobody knows when a request ends."""
        return (max(0, self._amount - self.count()),)

    def report(self, now_ns: int) -> dict[str, Any]:
        """The requests in work."""
        return {"busy": self.count()}

    def learn(self, now_ns: int, reset_ns: int) -> None:
        """Do nothing: it knows its requests."""

    def count(self) -> int:
        """The requests in work, over the workers that live."""
        return sum(map(self._of, range(self._cells[self._lives_at])))

    def _of(self, worker: int) -> int:
        cell = self._cells[self._counts_at + worker * self._stride]
        return cell & _COUNTS if cell >> _COUNT_BITS == self._cells[self._lives_at + 1 + worker] else 0
