"""Admits requests within the limits of their callers, and says in headers what is left.

A request is admitted by all of its limits, or counts for none. It is counted in three steps: as a request before its body is
read, by its rows and bytes when they are known, and by the model's time after its answer.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from gateway.access.limits import headers
from gateway.access.limits.account import Account
from gateway.access.limits.leased_account import LeasedAccount, Store
from gateway.access.limits.limit import Limit, parse_limits
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited

_CACHED_CALLERS: Final = 4096
_UNITS: Final = {"row": "rows", "byte": "bytes", "model_ms": "milliseconds of the model's time"}


class Subject(NamedTuple):
    """Whom limits apply to: its ``scope`` (``key`` or ``address``), its ``name``, and its limits as text; empty for none."""

    scope: str
    name: str
    limits: str


Costs: TypeAlias = Sequence[tuple[Account, int]]


class Caller:
    """The accounts of one caller, or of several that one request counts for, by when they are counted."""

    __slots__ = ("at_first", "bytes", "model_ms", "parallel", "policies", "rows")

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.rows, self.bytes, self.model_ms = ([one for one in accounts if one.limit.unit == unit] for unit in _UNITS)
        self.parallel = [one for one in accounts if one.limit.is_parallel]
        # The model's time is only looked at: what is used up already.
        self.at_first = [(one, 1) for one in accounts if one.limit.unit == "request"] + [(one, 0) for one in self.model_ms]
        self.policies = ", ".join(headers.policy(one.limit) for one in accounts)


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

    def admit(self, subjects: tuple[Subject, ...], model: str = "") -> "Admission":
        """Count a request for ``model`` by ``subjects``, before its body is read. Close the admission when it is answered.

        Raises:
            RateLimited: a limit has no room.
        """
        return Admission(self, self._caller(subjects, model))

    def take(self, costs: Costs, policies: str) -> tuple[int, list[int], list[int]]:
        """Count all of ``costs`` or none: when, and for each the room that is left and how long until there is more.

        A cost of 0 only asks whether there is room.

        Raises:
            RateLimited: one has no room.
        """
        table, rooms, is_refused = self._table, [], False
        table.lock()
        try:
            now_ns = self._clock_ns()
            for account, cost in costs:
                room = account.room(now_ns, cost or 1)
                rooms.append(room - cost)
                if room < (cost or 1):
                    is_refused = True
            if is_refused:
                waits = [account.wait_ns(now_ns, cost or 1) for account, cost in costs]
                resets = [account.meter.reset_ns(now_ns) for account, _ in costs]
            else:
                resets = [account.take(now_ns, cost) for account, cost in costs]
        finally:
            table.unlock()
        if is_refused:
            raise self._refusal(costs, rooms, waits, resets, policies)
        return now_ns, rooms, resets

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

    def _refusal(self, costs: Costs, rooms: list[int], waits: list[int], resets: list[int], policies: str) -> RateLimited:
        members, refused = [], []
        for (account, cost), room, wait_ns, reset_ns in zip(costs, rooms, waits, resets, strict=True):
            limit, is_refused = account.limit, room + cost < (cost or 1)
            if is_refused:
                refused.append((cost > limit.at_once, wait_ns, cost, limit))
                self._limited("parallel" if limit.is_parallel else limit.unit, account.scope)
            members.append(headers.state(limit, room + cost, wait_ns if is_refused else reset_ns))
        found = headers.headers(policies, members)
        is_never, wait_ns, cost, limit = max(refused, key=lambda one: one[:2])
        if is_never:
            unit = _UNITS[limit.unit]
            message = f"rate limit {limit.text!r}: the request has {cost} {unit}, expected at most {limit.at_once}"
            return RateLimited(message, found)
        retry_s = headers.seconds(wait_ns)
        message = f"rate limit {limit.text!r} is used up: try again in {retry_s} s"
        return RateLimited(message, [("Retry-After", str(retry_s)), *found])

    def _new_caller(self, subjects: tuple[Subject, ...], model: str) -> Caller:
        return Caller([self._account(one, limit, model) for one in subjects for limit in _limits(one.limits)])

    def _account(self, subject: Subject, limit: Limit, model: str) -> Account:
        name = f"{subject.name}\0{model}" if limit.per_model else subject.name
        if self._store is None:
            return Account(self._table, subject.scope, name, limit, overflowed=self._overflowed)
        return LeasedAccount(self._table, subject.scope, name, limit, overflowed=self._overflowed, store=self._store)


class Admission:
    """A request that its limits admitted, at ``at_ns`` of the monotonic clock, until it is answered."""

    __slots__ = ("_caller", "_counted", "_is_open", "_limiter", "_resets", "_rooms", "at_ns")

    def __init__(self, limiter: Limiter, caller: Caller) -> None:
        self._limiter = limiter
        self._caller = caller
        self._counted = caller.at_first
        self._is_open = True
        self.at_ns, self._rooms, self._resets = (
            limiter.take(caller.at_first, caller.policies) if caller.at_first else (0, [], [])
        )

    def charge(self, rows: int, body_bytes: int) -> None:
        """Count the rows of the request and the bytes of its body, when they are known.

        Raises:
            RateLimited: a limit has no room.
        """
        caller = self._caller
        if caller.rows or caller.bytes:
            costs = [(one, rows) for one in caller.rows] + [(one, body_bytes) for one in caller.bytes]
            _, rooms, resets = self._limiter.take(costs, caller.policies)
            self._counted, self._rooms, self._resets = self._counted + costs, self._rooms + rooms, self._resets + resets

    def close(self, model_ms: int = 0) -> None:
        """The request is answered, for which the model took ``model_ms``. Only the first call counts.

        A limit of the model's time may go below zero here: later requests wait for that.
        """
        caller, is_open, self._is_open = self._caller, self._is_open, False
        if is_open and caller.parallel:
            self._limiter.charge(caller.parallel, -1)
        if is_open and caller.model_ms and model_ms:
            self._limiter.charge(caller.model_ms, model_ms)

    def headers(self) -> list[tuple[str, str]]:
        """What the answer says of the limits that were counted; nothing if there are none."""
        states = [
            headers.state(account.limit, room, reset_ns)
            for (account, _), room, reset_ns in zip(self._counted, self._rooms, self._resets, strict=True)
        ]
        return headers.headers(self._caller.policies, states) if states else []


@lru_cache(maxsize=1024)
def _limits(text: str) -> tuple[Limit, ...]:
    return parse_limits(text) if text else ()
