"""An account that several gateways share: what it may take is a lease from Redis, renewed in the background.

While there is no lease, because the account was idle or Redis is away, the gateway goes on from what it knew last, and takes
its share of what is left.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from gateway.access.limits.account import Account
from gateway.access.limits.limit import Limit
from gateway.access.limits.table import (
    ASK_AGAIN,
    FORGOTTEN,
    LEASE,
    LEASE_ENDS,
    LEASE_LOW,
    OTHERS,
    OTHERS_END,
    ROOM_AT,
    UNCHARGED,
    LimitTable,
)

_SECOND_NS: Final = 10**9
_LEASE_NS: Final = 2 * _SECOND_NS  # half of the time that Redis sets it aside for
_ADVANCE_NS: Final = _SECOND_NS // 2
_EXCHANGE_NS: Final = 7 * _SECOND_NS // 10  # one that has not ended by then is lost
_MAX_WAIT_NS: Final = _SECOND_NS // 2
_OTHERS_NS: Final = 4 * _SECOND_NS


class Grant(NamedTuple):
    """What Redis answers: what is added to the lease, what others hold, how long until there is more, and until all is."""

    amount: int
    others: int
    wait_us: int
    reset_us: int


class Store(Protocol):
    """What leases come from. ``gateways`` is how many were seen last.

    Until ``unknown_until_ns`` it may know of requests that were counted before this gateway started.
    """

    is_up: bool
    gateways: int
    unknown_until_ns: int

    def ask(self, account: "LeasedAccount", cost: int) -> None:
        """Renew the lease of ``account`` in the background, so that ``cost`` may be taken. Never waits."""


class LeasedAccount(Account):
    """An account with a lease.

    The first part of a lease is taken ahead. If no other gateway can have used the limit, that is all that is left. Otherwise
    it is a share of what the limit allows in a second, or of a tenth of the limit if that is less, and at least 1. By so much
    may the limit be exceeded when another gateway has just used it up, or this one did before it was started anew.
    """

    __slots__ = ("_seen_room", "_store")

    def __init__(
        self,
        table: LimitTable,
        scope: str,
        name: str,
        limit: Limit,
        *,
        overflowed: Callable[[], None],
        store: Store,
    ) -> None:
        super().__init__(table, scope, name, limit, overflowed=overflowed)
        self._store = store
        self._seen_room = 0

    @property
    def key(self) -> str:
        """What all gateways call it."""
        return f"{self.scope}\0{self.name}\0{self.limit.text}"

    def room(self, now_ns: int, cost: int) -> int:
        """What is left of the lease; without one, see ``_room_without_lease``."""
        if self._cells[self._fingerprint_at] != self._fingerprint:
            self._place(now_ns)
        cells, base = self._cells, self._base
        self._seen_room = lease = cells[base + LEASE]
        if lease < cost and not self._store.is_up:
            cells[base + LEASE_ENDS] = 0  # no more will come
        if now_ns >= cells[base + LEASE_ENDS]:
            return self._room_without_lease(now_ns, cost)
        if lease < cost or lease <= cells[base + LEASE_LOW] or cells[base + LEASE_ENDS] - now_ns < _LEASE_NS // 2:
            self._ask(now_ns, cost)
        return lease

    def wait_ns(self, now_ns: int, cost: int) -> int:
        """How long until there may be room for ``cost``, as far as this gateway knows."""
        cells, base = self._cells, self._base
        if now_ns < cells[base + LEASE_ENDS]:
            return max(cells[base + ROOM_AT], cells[base + ASK_AGAIN], now_ns + 1) - now_ns
        return max(1, self.meter.wait_ns(now_ns, cost, self._others(now_ns), self._store.gateways))

    def try_take(self, now_ns: int, cost: int) -> bool:
        """Whether there is room for ``cost``, which is counted then; 0 only asks for room."""
        has_room = self.room(now_ns, cost or 1) >= (cost or 1)
        if self.is_shared:
            self._overflowed()
        if has_room and cost:
            self.take(now_ns, cost)
        return has_room

    def take(self, now_ns: int, cost: int) -> None:
        """Count ``cost``, and subtract it from the lease if there is one."""
        cells, base = self._cells, self._base
        self._seen_room -= cost
        if now_ns >= cells[base + LEASE_ENDS]:
            self.meter.take(now_ns, cost, self._store.gateways)
        else:
            cells[base + LEASE] -= cost
            self.meter.take_leased(now_ns, cost)
            if self._seen_room <= 0 and self._store.is_up:
                # The next lease may be all that the limit still has.
                self._seen_room += self.meter.room(now_ns, self._others(now_ns))

    def _place(self, now_ns: int) -> None:
        super()._place(now_ns)
        self.seen = self._seen

    def _seen(self) -> tuple[int, ...]:
        """What was left of the lease, or of the limit when the lease is used up, and when the meter expects more."""
        return (max(0, self._seen_room), *self.meter.seen()[1:])

    def is_idle(self, now_ns: int) -> bool:
        """Whether nothing of it counts any more."""
        return not self.has_row() or self._cells[self._base + FORGOTTEN] <= now_ns

    def has_old_lease(self, now_ns: int) -> bool:
        """Whether its lease is over, and something of it was not used or is in use."""
        cells, base = self._cells, self._base
        is_over = self.has_row() and cells[base + LEASE_ENDS] <= now_ns and cells[base + ASK_AGAIN] <= now_ns
        return is_over and bool(cells[base + LEASE] or (self.limit.is_parallel and self.meter.report(now_ns)["busy"]))

    def report(self, now_ns: int, wanted: int) -> dict[str, Any]:
        """What ``exchange.lua`` is told, so that ``wanted`` may be taken; 0 for nothing. Times are microseconds."""
        cells, base, limit = self._cells, self._base, self.limit
        cells[base + ASK_AGAIN] = now_ns + _EXCHANGE_NS
        self._give_back(now_ns)
        counted = {"ages": [], "busy": 0, "reset": 0} | self.meter.report(now_ns)
        shape = {"rate": limit.is_rate, "amount": limit.amount, "period": limit.period_ns // 1000, "burst": limit.at_once}
        return shape | counted | {"held": cells[base + LEASE], "uncharged": cells[base + UNCHARGED], "wanted": wanted}

    def renew(self, reported: dict[str, Any], sent_ns: int, now_ns: int, grant: Grant) -> None:
        """Take over what Redis answered at ``now_ns`` to what was ``reported`` and sent at ``sent_ns``."""
        cells, base = self._cells, self._base
        cells[base + UNCHARGED] -= reported["uncharged"]
        cells[base + OTHERS] = grant.others
        cells[base + OTHERS_END] = now_ns + max(self.limit.period_ns, _OTHERS_NS)
        cells[base + ROOM_AT] = now_ns + grant.wait_us * 1000
        self.meter.learn(now_ns, grant.reset_us * 1000)
        if reported["wanted"]:
            cells[base + LEASE] += grant.amount
            cells[base + LEASE_LOW] = cells[base + LEASE] // 2
            cells[base + LEASE_ENDS] = sent_ns + _LEASE_NS
            cells[base + FORGOTTEN] = max(cells[base + FORGOTTEN], sent_ns + _LEASE_NS)
        has_enough = cells[base + LEASE] >= reported["wanted"]
        cells[base + ASK_AGAIN] = now_ns + (0 if has_enough else min(grant.wait_us * 1000, _MAX_WAIT_NS))

    def _room_without_lease(self, now_ns: int, cost: int) -> int:
        """What is left as far as this gateway knows: all of it, or its share. While Redis answers, the next lease is begun."""
        store, cells, base = self._store, self._cells, self._base
        self._give_back(now_ns)
        room = self.meter.room(now_ns, self._others(now_ns), store.gateways)
        if store.is_up and room > 0 and not self.is_shared:
            if store.gateways > 1 or self._may_be_used(now_ns):
                room = min(room, self._first_share(store.gateways))
            self._take_ahead(now_ns, room)
            cells[base + LEASE] = room
            cells[base + LEASE_LOW] = room // 2
            cells[base + LEASE_ENDS] = now_ns + _ADVANCE_NS
            cells[base + FORGOTTEN] = max(cells[base + FORGOTTEN], now_ns + _ADVANCE_NS)
        self._ask(now_ns, cost)
        self._seen_room = room
        return room

    def _ask(self, now_ns: int, cost: int) -> None:
        """Have the lease renewed, unless a worker has asked for it already."""
        at = self._base + ASK_AGAIN
        if now_ns >= self._cells[at] and not self.is_shared:
            self._cells[at] = now_ns + _EXCHANGE_NS
            self._store.ask(self, cost)

    def _give_back(self, now_ns: int) -> None:
        """End a lease whose time is over; one with a debt ends at once, which is charged."""
        cells, base = self._cells, self._base
        lease = cells[base + LEASE]
        if lease < 0 or (lease and now_ns >= cells[base + LEASE_ENDS]):
            self._take_ahead(now_ns, -lease)
            cells[base + LEASE] = 0

    def _take_ahead(self, now_ns: int, amount: int) -> None:
        """Count in a rate what a lease takes from it or gives back; a window counts the requests themselves."""
        if self.limit.is_rate:
            self.meter.take(now_ns, amount)
            self._cells[self._base + UNCHARGED] += amount

    def _first_share(self, gateways: int) -> int:
        limit = self.limit
        a_second = limit.amount * _SECOND_NS // max(1, limit.period_ns)
        return max(1, min(a_second, limit.at_once // 10) // gateways)

    def _may_be_used(self, now_ns: int) -> bool:
        """Whether only Redis knows what was used of it, before this gateway started."""
        return now_ns < self._store.unknown_until_ns and self._cells[self._base + OTHERS_END] == 0

    def _others(self, now_ns: int) -> int:
        return self._cells[self._base + OTHERS] if now_ns < self._cells[self._base + OTHERS_END] else 0
