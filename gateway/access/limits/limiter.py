"""Admits requests within the limits of their callers, and says in headers what is left.

A request is admitted by all of its limits, or counts for none. It is counted in three steps: as a request before its body is
read, by its rows and bytes when they are known, and by the model's time after its answer.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Final, TypeAlias

from gateway.access.limits import headers
from gateway.access.limits.account import Account
from gateway.access.limits.leased_account import LeasedAccount, Store
from gateway.access.limits.limit import Limit, parse_limits
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited

_CACHED_CALLERS: Final = 4096
_UNITS: Final = {"row": "rows", "byte": "bytes", "model_ms": "milliseconds of the model's time"}


Costs: TypeAlias = Sequence[tuple[Account, int]]


class Caller:
    """The accounts of one caller, by when they are counted.

    ``has_sizes`` and ``is_closed`` say whether anything is counted when the rows are known, and when the request is answered.
    """

    __slots__ = ("at_first", "bytes", "has_sizes", "is_closed", "model_ms", "parallel", "policy", "rows", "states")

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.rows, self.bytes, self.model_ms = ([one for one in accounts if one.limit.unit == unit] for unit in _UNITS)
        self.parallel = [one for one in accounts if one.limit.is_parallel]
        self.has_sizes = bool(self.rows or self.bytes)
        self.is_closed = bool(self.parallel or self.model_ms)
        # The model's time is only looked at: what is used up already.
        self.at_first = [(one, 1) for one in accounts if one.limit.unit == "request"] + [(one, 0) for one in self.model_ms]
        self.policy = headers.policy([one.limit for one in accounts])
        self.states = headers.states_format([one.limit for one, _ in self.at_first])


class Limiter:
    """Counts the requests of one worker in ``table``, on one thread. With ``store``, several gateways share the limits.

    ``limited`` is called with the unit (``request``, ``row``, ``byte``, ``model_ms`` or ``parallel``) and the scope of each
    limit that refuses; ``overflowed`` for each limit that is counted together with other callers', because the table is full.
    """

    def __init__(
        self,
        table: LimitTable,
        store: Store | None = None,
        limited: Callable[[str, str], None] = lambda unit, scope: None,
        overflowed: Callable[[], None] = lambda: None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._table = table
        self._store = store
        self._limited = limited
        self._overflowed = overflowed
        self._clock_ns = clock_ns
        self._caller = lru_cache(_CACHED_CALLERS)(self._new_caller)

    def admit(self, scope: str, name: str, limits: str, model: str = "") -> "Admission":
        """Count a request for ``model``, before its body is read. Close the admission when it is answered.

        ``scope`` (``key`` or ``address``) and ``name`` say whom the ``limits`` apply to, which are text; empty for none.

        Raises:
            RateLimited: a limit has no room.
        """
        return Admission(self, self._caller(scope, name, limits, model))

    def take(self, costs: Costs, policy: tuple[str, str]) -> int:
        """Count all of ``costs`` or none, and return when. A cost of 0 only asks whether there is room.

        Raises:
            RateLimited: one has no room. ``policy`` is among its headers.
        """
        table = self._table
        table.lock()
        try:
            now_ns = self._clock_ns()
            for account, cost in costs:
                if not account.try_take(now_ns, cost):
                    break
            else:
                return now_ns
            for taken, cost in takewhile(lambda one: one[0] is not account, costs):
                taken.take(now_ns, -cost)
            looks = [_Look(one, its_cost, one.room(now_ns, its_cost or 1), now_ns) for one, its_cost in costs]
        finally:
            table.unlock()
        raise self._refusal(looks, policy)

    def charge(self, accounts: Sequence[Account], cost: int) -> None:
        """Count ``cost`` without a check; -1 for the end of a request."""
        self._table.lock()
        try:
            now_ns = self._clock_ns()
            for account in accounts:
                if cost > 0 or account.has_row():
                    account.room(now_ns, 0)
                    account.take(now_ns, cost)
        finally:
            self._table.unlock()

    def _refusal(self, looks: Sequence["_Look"], policy: tuple[str, str]) -> RateLimited:
        refused = [look for look in looks if look.is_refused]
        for look in refused:
            limit = look.account.limit
            self._limited("parallel" if limit.is_parallel else limit.unit, look.account.scope)
        states = headers.states(look.member for look in looks)
        worst = max(refused, key=lambda look: (look.is_never, look.retry_s))
        limit = worst.account.limit
        if worst.is_never:
            what = f"the request has {worst.cost} {_UNITS[limit.unit]}, expected at most {limit.at_once}"
            return RateLimited(f"rate limit {limit.text!r}: {what}", [policy, states])
        message = f"rate limit {limit.text!r} is used up: try again in {worst.retry_s} s"
        return RateLimited(message, [("Retry-After", str(worst.retry_s)), policy, states])

    def _new_caller(self, scope: str, name: str, limits: str, model: str) -> Caller:
        of_model = f"{name}\0{model}"
        return Caller([self._account(scope, of_model if limit.per_model else name, limit) for limit in _limits(limits)])

    def _account(self, scope: str, name: str, limit: Limit) -> Account:
        if self._store is None:
            return Account(self._table, scope, name, limit, overflowed=self._overflowed)
        return LeasedAccount(self._table, scope, name, limit, overflowed=self._overflowed, store=self._store)


class _Look:
    """What there was of a limit when a request was refused, looked at within the lock."""

    def __init__(self, account: Account, cost: int, room: int, now_ns: int) -> None:
        self.account = account
        self.cost = cost
        self.room = room
        self.is_refused = room < (cost or 1)
        self.is_never = cost > account.limit.at_once
        self.retry_s = headers.seconds(account.wait_ns(now_ns, cost or 1)) if self.is_refused else 0
        self.member = account.member(self.retry_s)


class Admission:
    """A request ``of`` a caller that its limits admitted, at ``at_ns`` of the monotonic clock, until it is answered.

    ``has_sizes`` and ``is_open`` say whether ``charge`` and ``close`` count anything.
    """

    __slots__ = ("_limiter", "_sizes", "at_ns", "has_sizes", "is_open", "of")

    def __init__(self, limiter: Limiter, caller: Caller) -> None:
        self._limiter = limiter
        self.of = caller
        self.has_sizes = caller.has_sizes
        self.is_open = caller.is_closed
        self._sizes: Costs = ()
        self.at_ns = limiter.take(caller.at_first, caller.policy) if caller.at_first else 0

    def charge(self, rows: int, body_bytes: int) -> None:
        """Count the rows of the request and the bytes of its body, when they are known.

        Raises:
            RateLimited: a limit has no room.
        """
        caller = self.of
        if caller.has_sizes:
            costs = [(one, rows) for one in caller.rows] + [(one, body_bytes) for one in caller.bytes]
            self._limiter.take(costs, caller.policy)
            self._sizes = costs

    def close(self, model_ms: int = 0) -> None:
        """The request is answered, for which the model took ``model_ms``. Only the first call counts.

        A limit of the model's time may go below zero here: later requests wait for that.
        """
        if not self.is_open:
            return
        caller, self.is_open = self.of, False
        if caller.parallel:
            self._limiter.charge(caller.parallel, -1)
        if caller.model_ms and model_ms:
            self._limiter.charge(caller.model_ms, model_ms)

    def headers(self) -> Sequence[tuple[str, str]]:
        """What the answer says of the limits that were counted, as they were seen last; nothing if there are none."""
        caller = self.of
        values: list[int] = []
        for account, _ in caller.at_first:
            values += account.seen()
        states = caller.states % tuple(values)
        if self._sizes:
            states = headers.joined([states, *[account.member() for account, _ in self._sizes]])
        return (caller.policy, ("RateLimit", states)) if states else ()


@lru_cache(maxsize=1024)
def _limits(text: str) -> tuple[Limit, ...]:
    return parse_limits(text) if text else ()
