"""Follows the plans in the database: one task in each worker, which looks once a second.

All workers of all gateways do the same, and nothing is a leader: a change is written by compare-and-set on the plan's revision,
and exactly one wins. Requests only ever see the snapshot that is swapped here. While the database is away they go on with the
last one; no step is taken then, and what is counted is kept until it is back.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.backend.servers.each import Each
from gateway.prediction_log.sinks.sink import Sink
from gateway.rollout.changes import Change
from gateway.rollout.control.alone import Alone
from gateway.rollout.control.leaving import Leaving
from gateway.rollout.control.loading import LOAD_TIMEOUT_S, Loading
from gateway.rollout.control.pins import Pins
from gateway.rollout.control.shown import Shown, count_decision
from gateway.rollout.control.sight import Sights
from gateway.rollout.control.steering import Steering
from gateway.rollout.control.warming import Warming
from gateway.rollout.control.writing import Writing
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.live.rollouts import Rollouts, Sample
from gateway.rollout.plan import Plan, State
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.view import Report, View
from gateway.telemetry.logs import logger

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

log = logger("rollout")

EVERY_S: Final = 1.0
_LEAST_S: Final = 0.05
_FIRST_WITHIN_S: Final = 2.0
_CLOSE_WITHIN_S: Final = 5.0
_MOST_SAMPLES: Final = 100


class Follower:
    """The task. It closes ``store`` and ``sink`` when it is closed. For one event loop, after the fork.

    - ``rollouts``: what requests look at. ``servers``: the model servers. ``config_file``: their model config file, if known.
    - ``sink``: where the prediction log is, for this alone: the newest requests in it warm a canary up.
    - ``pins``: where the last plans sent requests, which they go on with until the database has been read for the first time.
    - ``load_timeout_s``: how long versions may take to be loaded. ``host`` and ``boot`` name the gateway and this run of it.
    """

    def __init__(
        self,
        store: "Store",
        rollouts: Rollouts,
        servers: Each,
        config_file: Path | None,
        sink: Sink | None = None,
        *,
        pins: Pins | None = None,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        every_s: float = EVERY_S,
        host: str = "",
        boot: str = "",
    ) -> None:
        self._store = store
        self._rollouts = rollouts
        self._every_s = every_s
        self._host = host or socket.gethostname()
        self._boot = boot or secrets.token_hex(8)
        self._sights = Sights(servers, config_file)
        self._writing = Writing(servers, config_file)
        self._warming = Warming(servers, sink)
        loading = Loading(self._writing, config_file, load_timeout_s, host=self._host)
        self._steering = Steering(store, self._sights, loading, self._warming, boot=self._boot, host=self._host)
        self._leaving = Leaving(store, self._sights, loading)
        self._alone = Alone()
        self._shown = Shown()
        self._pins = pins or Pins(None)
        self._pinned: tuple[Plan, ...] = ()
        self._view = View((), {}, {}, 0)
        self._synced_s = 0.0
        self._used: tuple[Plan, ...] = ()
        self._samples: list[Sample] = []
        self._is_away = False
        self._has_followed = asyncio.Event()
        self._problem = ""
        self._is_closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow, on the event loop that runs here. It waits for the first look at the plans, two seconds at most.

        Requests that came before it would go to the latest version, which may be a canary.
        """
        self._pinned = await asyncio.to_thread(self._pins.read)
        self._use(self._pinned)
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="rollouts")
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_WITHIN_S):
                await self._has_followed.wait()

    def problem(self) -> str:
        """Why this worker does not know yet where requests should go; empty once it has followed the plans."""
        return (
            ""
            if self._has_followed.is_set()
            else f"the plans of rollouts could not be read yet: {self._problem or 'no answer'}"
        )

    async def close(self) -> None:
        """Write what was counted, and stop. No request may be in flight any more."""
        self._is_closing.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=_CLOSE_WITHIN_S)
            self._task.cancel()
            await asyncio.wait((self._task,))
        await asyncio.gather(self._sights.close(), self._writing.close(), self._warming.close())
        await asyncio.to_thread(self._store.close)

    async def _follow(self) -> None:
        while not self._is_closing.is_set():
            started_s = time.monotonic()
            has_changed = await self._tick()
            rest_s = 0.0 if has_changed else self._every_s - (time.monotonic() - started_s)
            try:
                async with asyncio.timeout(max(_LEAST_S, rest_s)):
                    await self._is_closing.wait()
            except TimeoutError:
                continue
        await self._tick(acts=False)

    async def _tick(self, *, acts: bool = True) -> bool:
        """One look. Returns whether this worker has changed a plan, so that another look is due at once."""
        try:
            sums = self._rollouts.report()
            if not await self._sync(sums):
                return False
            return await self._act() if acts else False
        except StoreAway as error:
            self._note_away(str(error))
        except Exception:
            log.exception("rollout.failed")
        return False

    async def _sync(self, sums: Mapping[tuple[str, int], Totals]) -> bool:
        """Tell the database what is new, and follow what it says; without it, look at this worker's own sums."""
        self._samples = [*self._samples, *self._rollouts.take_samples()][-_MOST_SAMPLES:]
        report = Report(
            boot=self._boot,
            host=self._host,
            pid=os.getpid(),
            seen=dict(self._steering.seen),
            evidence={key: totals for key, totals in sums.items() if key[0] not in {plan.id for plan in self._pinned}},
            samples=tuple(self._samples),
        )
        try:
            view = await asyncio.to_thread(self._store.sync, report)
        except StoreAway as error:
            self._note_away(str(error))
            self._alone.look(self._view.plans, sums, len(self._view.workers))
            self._use(self._leaving.beside(self._view.plans) if self._has_followed.is_set() else self._pinned)
            return False
        self._leaving.follow(self._view.plans if self._has_followed.is_set() else self._pinned, view.plans)
        self._view = view
        self._synced_s = time.monotonic()
        if self._is_away:
            self._is_away = False
            log.info("rollout.database_back")
        self._samples = []
        self._rollouts.note_written(sums)
        self._alone.forget_all_but({plan.id for plan in self._view.plans})
        self._use(self._leaving.beside(self._view.plans))
        await asyncio.to_thread(self._pins.note, self._leaving.beside(self._view.plans))
        self._has_followed.set()
        self._shown.show(self._view.plans, self._view.totals)
        return True

    def _use(self, plans: tuple[Plan, ...]) -> None:
        """Requests follow ``plans`` from now on."""
        decided = self._alone.as_decided(plans, self._now_us())
        if list(map(_followed, decided)) != list(map(_followed, self._used)):
            self._rollouts.use(decided)
            self._used = decided

    async def _act(self) -> bool:
        """See to what each plan needs. The changes of others are seen with the next look."""
        self._steering.look((*self._view.plans, *self._leaving.plans))
        await self._leaving.look()
        self._use(self._leaving.beside(self._view.plans))
        has_changed = False
        for plan in self._view.plans:
            change = self._alone.change_of(plan, self._now_us()) or await self._steering.change_of(plan, self._view)
            if change is not None:
                has_changed |= await self._write(plan, change, self._view)
        return has_changed

    async def _write(self, before: Plan, change: Change, view: View) -> bool:
        after, event = change
        if not await asyncio.to_thread(self._store.change, before, after, event):
            return False  # another worker, or a person, was first
        count_decision(before, change, view.totals.get(before.id, {}))
        return True

    def _note_away(self, reason: str) -> None:
        if not self._is_away:
            log.warning("rollout.database_away", reason=reason)
        self._is_away, self._problem = True, reason

    def _now_us(self) -> int:
        """The database's time, also while it is away."""
        return self._view.at_us + int((time.monotonic() - self._synced_s) * 1e6)


def _followed(plan: Plan) -> tuple[str, int, State]:
    """What requests would notice of another plan."""
    return plan.id, plan.revision, plan.state
