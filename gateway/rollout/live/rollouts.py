"""The open plans as the requests of one worker see them: a snapshot that is swapped whole, and what was counted under it."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.access.limits.addresses import Network
from gateway.inference.signature import ModelRef
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.live.running import Running
from gateway.rollout.live.tally import StepKey, Tally
from gateway.rollout.plan import Plan

MOST_SAMPLES: Final = 20  # of one plan

Sample: TypeAlias = tuple[str, dict[str, Any]]
"""A plan's id, and a request whose answers differed, for JSON."""


class Rollouts:
    """What requests ask: ``of``. What the follower of the database tells (``use``) and takes. For one event loop.

    ``proxies`` may say in X-Forwarded-For for whom they ask. ``now``: seconds of a monotonic clock. ``draw`` gives numbers in
    [0, 1) for what chance decides.
    """

    def __init__(
        self,
        proxies: Sequence[Network] = (),
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._proxies = proxies
        self._draw = draw
        self._tally = Tally(now)
        self._plans: tuple[Plan, ...] = ()
        self._running: dict[str, Running] = {}
        self._samples: list[Sample] = []
        self._sampled: Counter[str] = Counter()

    def of(self, model: str) -> Running | None:
        """The open plan of ``model``; None: there is none, or it has not found its stable version yet."""
        return self._running.get(model)

    def plan_of(self, model: str) -> Plan | None:
        """The open plan of ``model`` as requests follow it now; None as ``of``."""
        running = self._running.get(model)
        return None if running is None else running.plan

    def that_places(self, model: ModelRef) -> Running | None:
        """The open plan that says where a request for ``model`` goes; None: there is none, or the request itself says it."""
        running = self._running.get(model.name)
        return None if running is None or model.version is not None or model.label is not None else running

    def use(self, plans: Iterable[Plan]) -> None:
        """From now on these are the open plans, at most one of each model. A step that goes on keeps what was counted."""
        self._plans = tuple(plans)
        placed = [plan for plan in self._plans if plan.kept is not None]
        self._running = {plan.model: self._made(plan) for plan in placed}
        self._tally.end_all_but([(plan.id, plan.step) for plan in placed])
        open_plans = {plan.id for plan in self._plans}
        self._sampled = Counter({plan: count for plan, count in self._sampled.items() if plan in open_plans})

    def _made(self, plan: Plan) -> Running:
        return Running(plan, self._tally.windows(plan), self._proxies, self._draw)

    @property
    def seen(self) -> dict[str, int]:
        """The revision of each open plan, by its id, as requests follow it now."""
        return {plan.id: plan.revision for plan in self._plans}

    def plan_ids(self) -> dict[str, str]:
        """The id of the open plan of each model that has one."""
        return {plan.model: plan.id for plan in self._plans}

    def report(self) -> dict[StepKey, Totals]:
        """The sums of each step of the open plans, by plan id and step, and those of closed ones that are not written yet."""
        return self._tally.report()

    def note_written(self, report: Mapping[StepKey, Totals]) -> None:
        """The database has ``report``, as ``report()`` gave it."""
        self._tally.note_written(report)

    def keep_sample(self, plan: str, sample: dict[str, Any]) -> None:
        """Keep a request whose answers differed, unless there are enough of its plan."""
        if self._sampled[plan] < MOST_SAMPLES:
            self._sampled[plan] += 1
            self._samples.append((plan, sample))

    def take_samples(self) -> list[Sample]:
        """The samples that came since the last time."""
        taken, self._samples = self._samples, []
        return taken
