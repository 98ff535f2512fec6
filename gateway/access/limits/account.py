"""One limit of one caller, as a worker sees it: its row of the shared table, and what counts there."""

from collections.abc import Callable
from typing import Final

from gateway.access.limits.headers import member
from gateway.access.limits.limit import Limit
from gateway.access.limits.meter import Meter
from gateway.access.limits.table import LimitTable, fingerprint_at, row_at

ADDRESS: Final = "address"
"""The scope of callers without a key."""


class Account:
    """One limit of one caller. All but its construction is within the table's lock. ``room`` and ``try_take`` find the row.

    ``scope`` and ``name`` say whose it is. It counts with others when it finds no row of its own: ``is_shared`` says whether it
    does, and ``overflowed`` is called for each request then.
    """

    __slots__ = (
        "_base",
        "_cells",
        "_fingerprint",
        "_fingerprint_at",
        "_member",
        "_overflowed",
        "_table",
        "is_shared",
        "limit",
        "meter",
        "name",
        "scope",
        "seen",
    )

    meter: Meter
    seen: Callable[[], tuple[int, ...]]
    """What was left when it was looked at last, and in how many seconds there was more then, if that can be known.

    Also outside of the lock.
    """

    def __init__(self, table: LimitTable, scope: str, name: str, limit: Limit, *, overflowed: Callable[[], None]) -> None:
        self._table = table
        self._cells = table.cells
        self._overflowed = overflowed
        self.scope = scope
        self.name = name
        self.limit = limit
        self._member = member(limit)
        self._fingerprint = table.fingerprint(scope, name, limit.text)
        self._fingerprint_at = table.nobodys_at
        self.is_shared = False

    def room(self, now_ns: int, cost: int) -> int:
        """How much may be taken at ``now_ns``, of which ``cost`` is asked for; it may be negative."""
        if self._cells[self._fingerprint_at] != self._fingerprint:
            self._place(now_ns)
        return self.meter.room(now_ns)

    def wait_ns(self, now_ns: int, cost: int) -> int:
        """How long from ``now_ns`` until there may be room for ``cost``."""
        return self.meter.wait_ns(now_ns, cost)

    def try_take(self, now_ns: int, cost: int) -> bool:
        """Whether there is room for ``cost``, which is counted then; 0 only asks for room."""
        if self._cells[self._fingerprint_at] != self._fingerprint:
            self._place(now_ns)
            if self.is_shared:
                self._overflowed()
        return self.meter.try_take(now_ns, cost)

    def take(self, now_ns: int, cost: int) -> None:
        """Count ``cost``, without a check; less than 0 takes back."""
        self.meter.take(now_ns, cost)

    def member(self, retry_s: int = 0) -> str:
        """What ``seen`` gives, as a member of ``RateLimit``; also outside of the lock.

        ``retry_s`` is in how many seconds a request may come that has just been refused.
        """
        seen = self.seen()
        return self._member % (seen if not retry_s else (seen[0], retry_s)[: len(seen)])

    def has_row(self) -> bool:
        """Whether what was taken is still counted."""
        return self._cells[self._fingerprint_at] == self._fingerprint

    def _place(self, now_ns: int) -> None:
        table, is_address = self._table, self.scope == ADDRESS
        row = table.find(self._fingerprint, is_address, now_ns)
        self.is_shared = row is None
        if row is None:
            row = table.find_shared(table.fingerprint(self.scope, "", self.limit.text), is_address, now_ns)
        self._base = row_at(row)
        self._fingerprint_at = fingerprint_at(row)
        self.meter = table.meter(self.limit, row)
        self.seen = self.meter.seen
