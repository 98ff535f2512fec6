"""The pins of rollouts that are over for all others, while this worker's own model servers would still answer with what failed.

A gateway that cannot reach the database is not waited for: others may have closed a rollout meanwhile, when only their own
servers had let go of the version that requests must not get.
"""

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gateway.rollout.control import versions
from gateway.rollout.control.loading import Loading
from gateway.rollout.control.sight import Sight, Sights
from gateway.rollout.plan import Hold, Plan, State
from gateway.telemetry.logs import logger

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

log = logger("rollout")

_COME: Final = frozenset({"START", "LOADING", "AVAILABLE"})


class Leaving:
    """The plans of one worker that are not open any more, and pin requests here until its own servers are right."""

    def __init__(self, store: "Store", sights: Sights, loading: Loading) -> None:
        self._store = store
        self._sights = sights
        self._loading = loading
        self._plans: dict[str, Plan] = {}
        self._told: set[str] = set()

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans that requests go on with, at most one of each model."""
        return tuple(self._plans.values())

    def beside(self, plans: Iterable[Plan]) -> tuple[Plan, ...]:
        """What requests follow while ``plans`` are open: these, and the pins of models without one that has a pin itself."""
        return (*(plan for plan in plans if plan.model not in self._plans), *self.plans)

    def follow(self, before: Iterable[Plan], plans: Iterable[Plan]) -> None:
        """``before`` were open at the last look, and now ``plans`` are: what has pinned and is gone goes on with its pin."""
        placed = {plan.model for plan in plans if plan.kept is not None}
        gone = {plan.model: _ended(plan) for plan in before if plan.kept is not None}
        self._plans = {model: plan for model, plan in (gone | self._plans).items() if model not in placed}
        self._told &= self._plans.keys()

    async def look(self) -> None:
        """Let go of each pin that this worker's servers do not need any more. For the others its file is written anew.

        Raises StoreAway.
        """
        for model, plan in list(self._plans.items()):
            sight = self._sights.of(model)
            if sight is None:
                continue
            known = await asyncio.to_thread(self._known, plan)
            if known is not None and known.drops_other:
                self._plans[model] = known
            last = self._plans[model]
            # Nothing was loaded for a draft, and what a refused rollout has changed was put back.
            has_loaded = known is None or known.drops_other
            if has_loaded and not _is_let_go(last, sight):
                self._keep(last, sight)
            else:
                self._let_go(last, is_known=known is not None)

    def _known(self, plan: Plan) -> Plan | None:
        """How the plan has ended, as far as the database knows. A pin of the last start stands for the newest one."""
        return self._store.plan(plan.id) or (self._store.newest(plan.model) if plan.stable == plan.canary else None)

    def _keep(self, plan: Plan, sight: Sight) -> None:
        if plan.model not in self._told:
            self._told.add(plan.model)
            missing = versions.loaded(plan, sight).missing
            log.warning("rollout.pin_kept", rollout=plan.id, model=plan.model, version=plan.kept, missing=missing)
        self._loading.let_go(plan, sight, plan.state_us)

    def _let_go(self, plan: Plan, *, is_known: bool) -> None:
        del self._plans[plan.model]
        if not is_known:  # as after a lost database
            log.warning("rollout.pin_gone", model=plan.model, version=plan.kept)
        elif plan.model in self._told:
            log.info("rollout.pin_let_go", rollout=plan.id, model=plan.model, version=plan.kept)
        self._told.discard(plan.model)


def _ended(plan: Plan) -> Plan:
    """The plan as it pins what it would keep, until it is known how it has ended."""
    state = plan.state if plan.is_ended else State.DONE if plan.kept == plan.canary else State.ABORTED
    return dataclasses.replace(plan, state=state, hold=Hold.NONE, drops_other=True)


def _is_let_go(plan: Plan, sight: Sight) -> bool:
    """Whether no server that answers sends requests without a version to one that the rollout has let go, or soon will."""
    newest = {
        max((version.version for version in status.versions if version.state in _COME), default=None)
        for status in sight.told.values()
    }
    return bool(sight.told) and not newest & versions.left(plan)
