"""One limit of one caller, as a worker sees it: its row of the shared table, and what counts there."""

from collections.abc import Callable
from typing import Final

from gateway.access.limits.limit import Limit
from gateway.access.limits.meter import Meter
from gateway.access.limits.table import LimitTable, fingerprint_at, row_at

ADDRESS: Final = "address"
"""The scope of callers without a key."""


class Account:
    """One limit of one caller. All but its construction is within the table's lock. First comes ``room``, which finds the row.

    ``scope`` and ``name`` say whose it is. ``overflowed`` is called each time that it finds no row of its own and counts with
    others; ``is_shared`` says whether it does.
    """

    __slots__ = (
        "_base",
        "_cells",
        "_fingerprint",
        "_fingerprint_at",
        "_overflowed",
        "_table",
        "is_shared",
        "limit",
        "meter",
        "name",
        "scope",
    )

    meter: Meter

    def __init__(self, table: LimitTable, scope: str, name: str, limit: Limit, *, overflowed: Callable[[], None]) -> None:
        self._table = table
        self._cells = table.cells
        self._overflowed = overflowed
        self.scope = scope
        self.name = name
        self.limit = limit
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

    def take(self, now_ns: int, cost: int) -> int:
        """Count ``cost``, without a check; less than 0 for the end of a request. How long until there is more room."""
        return self.meter.take(now_ns, cost)

    def has_row(self) -> bool:
        """Whether what was taken is still counted."""
        return self._cells[self._fingerprint_at] == self._fingerprint

    def _place(self, now_ns: int) -> None:
        table, is_address = self._table, self.scope == ADDRESS
        row = table.find(self._fingerprint, is_address, now_ns)
        self.is_shared = row is None
        if row is None:
            self._overflowed()
            row = table.find_shared(table.fingerprint(self.scope, "", self.limit.text), is_address, now_ns)
        self._base = row_at(row)
        self._fingerprint_at = fingerprint_at(row)
        self.meter = table.meter(self.limit, row)
