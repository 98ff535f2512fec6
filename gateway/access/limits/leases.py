"""Leases from Redis: one background task for each worker, which asks for all accounts that need one in one message.

Redis may be slow, hang, or be away at any time. Then the accounts go on without leases, and the task tries again twice a
second. When Redis is back, every gateway first tells it what it has counted, and only then are there leases again: Redis may
have lost everything.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import RedisError

from gateway.access.limits.leased_account import Grant, LeasedAccount
from gateway.access.limits.redis_client import redis_at
from gateway.access.limits.table import LimitTable
from gateway.telemetry.logs import logger

log = logger("limits")

_SCRIPT: Final = files(__package__).joinpath("exchange.lua").read_text(encoding="utf-8")
# The braces keep all keys on one node of a cluster.
_PREFIX: Final = "{gateway-limits}:"
_EXCHANGE_TIMEOUT_S: Final = 0.5
_BEAT_S: Final = 0.5
_BEAT_NS: Final = 500_000_000
_RETURN_NS: Final = 1_500_000_000  # all gateways have seen by then that Redis is back, and have told it what they counted
_MAX_ACCOUNTS: Final = 200  # in one message
_MAX_KNOWN: Final = 5_000
_EVER_US: Final = 10**15


class Leases:
    """Renews the leases of one worker, on its event loop: a Store.

    ``url`` is that of Redis, such as ``redis://:password@host:6379/0``. ``noted`` is called about twice a second with whether
    leases are renewed, and how many seconds ago Redis answered last.

    Raises:
        ValueError: ``url`` is none.
    """

    def __init__(
        self,
        url: str,
        table: LimitTable,
        noted: Callable[[bool, float], None] = lambda is_up, age_s: None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._redis = redis_at(url)
        self._script = self._redis.register_script(_SCRIPT)
        self._table = table
        self._noted = noted
        self._clock_ns = clock_ns
        self.is_up = False
        self.gateways = 1
        self.unknown_until_ns = 0
        self._asked: dict[LeasedAccount, int] = {}
        self._known: dict[LeasedAccount, None] = {}
        self._answered_ns: int | None = None
        self._returned_ns: int | None = None
        self._is_closing = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, on the loop that runs. Waits half a second at most for the first answer."""
        await self._exchange({})
        # Nothing has been counted here yet that Redis would have to be told.
        self.is_up = self._answered_ns is not None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, and close the connection. What is left of the leases ends by itself. Takes half a second at most."""
        # No cancellation: the client of Redis swallows one at times.
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    def ask(self, account: LeasedAccount, cost: int) -> None:
        """Renew the lease of ``account`` in the background, so that ``cost`` may be taken. Never waits."""
        self._asked[account] = max(cost, self._asked.get(account, 0))
        self._known[account] = None
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if self.is_up:
            self._wake.set()

    async def _run(self) -> None:
        next_beat_ns = 0
        while not self._is_closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_S):
                    await self._wake.wait()
            self._wake.clear()
            now_ns = self._clock_ns()
            if now_ns >= next_beat_ns:
                next_beat_ns = now_ns + _BEAT_NS
                self._look_at_known(now_ns)
                self._noted(self.is_up, math.inf if self._answered_ns is None else (now_ns - self._answered_ns) / 1e9)
            await self._exchange(self._next())

    def _look_at_known(self, now_ns: int) -> None:
        """Ask for accounts whose lease is over; when Redis has returned, for all. Forget those of which nothing counts."""
        has_returned = self._returned_ns is not None
        for account in list(self._known)[: _MAX_KNOWN if has_returned else _MAX_ACCOUNTS]:
            del self._known[account]
            with self._table.locked():
                is_idle, has_old_lease = account.is_idle(now_ns), account.has_old_lease(now_ns)
            if not is_idle:
                self._known[account] = None
                if has_returned or has_old_lease:
                    self._asked.setdefault(account, 0)

    def _next(self) -> dict[LeasedAccount, int]:
        """The accounts of the next message, and what they want; while Redis has only just returned, they want nothing yet."""
        accounts = list(self._asked)[:_MAX_ACCOUNTS]
        if len(accounts) < len(self._asked):
            self._wake.set()
        return {account: self._asked.pop(account) * self.is_up for account in accounts}

    async def _exchange(self, wanted: Mapping[LeasedAccount, int]) -> None:
        sent_ns = self._clock_ns()
        reports = self._reports(wanted, sent_ns)
        try:
            async with asyncio.timeout(_EXCHANGE_TIMEOUT_S):
                gateways, counted_us, grants = await self._tell(reports, sent_ns)
        except Exception as error:  # noqa: BLE001 (whatever answers there, the limits go on without it)
            self._lost(error)
            return
        now_ns = self._clock_ns()
        if self._answered_ns is None:
            self.unknown_until_ns = now_ns + counted_us * 1000
        self._answered(sent_ns, now_ns, gateways)
        for (account, report), grant in zip(reports.items(), grants, strict=True):
            with self._table.locked():
                if account.has_row():
                    account.renew(report, sent_ns, now_ns, grant)

    def _reports(self, wanted: Mapping[LeasedAccount, int], now_ns: int) -> dict[LeasedAccount, dict[str, Any]]:
        reports = {}
        for account, want in wanted.items():
            # The lock is taken for each, so that no request of another worker waits for all of them.
            with self._table.locked():
                if account.has_row():
                    reports[account] = account.report(now_ns, want)
        return reports

    async def _tell(self, reports: Mapping[LeasedAccount, dict[str, Any]], sent_ns: int) -> tuple[int, int, list[Grant]]:
        told = {
            "gateway": self._table.name,
            "gateways": 1 if self.is_up else self.gateways,
            "passed": _EVER_US if self._answered_ns is None else (sent_ns - self._answered_ns) // 1000,
            "returns": not self.is_up,
            "accounts": list(reports.values()),
        }
        keys = [_PREFIX + name for name in ("clock", "gateways", *map(_key, reports))]
        answer = json.loads(await self._script(keys=keys, args=[json.dumps(told)]))
        # Lua has one kind of tables: no answers are an empty object.
        grants = [Grant(*map(int, grant)) for grant in answer["answers"] or ()]
        return answer["gateways"], int(answer["counted"]), grants

    def _answered(self, sent_ns: int, now_ns: int, gateways: int) -> None:
        self._answered_ns = sent_ns
        if self.is_up:
            self.gateways = gateways
            return
        self.gateways = max(gateways, self.gateways)
        if self._returned_ns is None:
            self._returned_ns = now_ns
        elif now_ns - self._returned_ns >= _RETURN_NS:
            self.is_up, self._returned_ns = True, None
            with self._table.locked():
                is_news = self._table.note_store(is_up=True)
            if is_news:
                log.info("limits.store_found")

    def _lost(self, error: Exception) -> None:
        self.is_up, self._returned_ns = False, None
        with self._table.locked():
            is_news = self._table.note_store(is_up=False)
        if is_news:
            log.warning("limits.store_lost", error=f"{type(error).__name__}: {error}")


def _key(account: LeasedAccount) -> str:
    return blake2b(account.key.encode(), digest_size=16).hexdigest()
