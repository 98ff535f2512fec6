"""What each open plan needs next, by what this worker sees. It never waits for a server or a file: that goes on beside it.

``seen`` is how workers agree without a leader. A worker says that it has seen a revision when it has done its part of it: its
requests follow it, and where versions are loaded, warmed up or dropped, its own file and model servers are so. What needs all
of them, such as the first caller of a canary, waits until every worker that was heard of lately says so.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from gateway.rollout import changes
from gateway.rollout.changes import Change
from gateway.rollout.checking import others_of
from gateway.rollout.control import versions
from gateway.rollout.control.loading import Loading
from gateway.rollout.control.sight import Sight, Sights
from gateway.rollout.control.warming import Warming
from gateway.rollout.decision import Facts, FileState, decide
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Hold, Plan, State
from gateway.rollout.store.view import View

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

_WARM_AT_MOST_US: Final = 90_000_000
_TELL_US: Final = 15_000_000


class Steering:
    """The next change of each plan, for the worker ``boot`` on ``host``. For one event loop."""

    def __init__(self, store: "Store", sights: Sights, loading: Loading, warming: Warming, *, boot: str, host: str) -> None:
        self._store = store
        self._sights = sights
        self._loading = loading
        self._warming = warming
        self._boot = boot
        self._host = host
        self.seen: dict[str, int] = {}

    def look(self, plans: tuple[Plan, ...]) -> None:
        """These are the open plans: what is known of others is forgotten."""
        self._sights.look({plan.model for plan in plans})
        ids = {plan.id for plan in plans}
        self._loading.forget_all_but(ids)
        self._warming.forget_all_but({plan.id for plan in plans if plan.state is State.WARMING})
        self.seen = {plan_id: revision for plan_id, revision in self.seen.items() if plan_id in ids}

    async def change_of(self, plan: Plan, view: View) -> Change | None:
        """The change that ``plan`` needs now; None if none, or if that is not known yet. Raises StoreAway."""
        sight = self._sights.of(plan.model)
        if sight is None:
            return None
        failed = await asyncio.to_thread(self._store.failed_versions, plan.model) if plan.state is State.DRAFT else {}
        if self._has_done_its_part(plan, sight, view) and _is_as_noted(plan, sight, failed):
            self.seen[plan.id] = plan.revision
        elif self.seen.get(plan.id) == plan.revision:
            del self.seen[plan.id]  # a version is gone again
        match plan.state:
            case State.DRAFT:
                is_everywhere = self._is_everywhere(plan, view)
                return self._loading.drafted(plan, sight, failed, view.at_us, is_everywhere=is_everywhere)
            case State.LOADING:
                return self._loading.loading(plan, sight, view.at_us, is_everywhere=self._is_everywhere(plan, view))
            case State.WARMING:
                return self._warmed(plan, sight, view)
            case State.REFUSED if not plan.stays_open and not plan.drops_other:
                return self._loading.refused(plan, sight, view.at_us, is_everywhere=self._is_everywhere(plan, view))
        return self._decided(plan, sight, view)

    def _decided(self, plan: Plan, sight: Sight, view: View) -> Change | None:
        by_step: Mapping[int, Totals] = view.totals.get(plan.id, {})
        change = decide(plan, by_step, self._facts(plan, sight, view), view.at_us)
        is_unknown = versions.loaded(plan, sight).is_loaded is None
        if change is not None and not (is_unknown and _needs_servers(plan, change[0])):
            return change
        return self._loading.let_go(plan, sight, view.at_us) if plan.drops_other and plan.versions else None

    def _facts(self, plan: Plan, sight: Sight, view: View) -> Facts:
        look, file = versions.loaded(plan, sight), self._loading.file_state(plan, sight)
        is_everywhere, entry = self._is_everywhere(plan, view), self._loading.entry(plan, sight)
        if plan.is_ended:
            # Where there is no file, or somebody else has changed the entry, nothing is written any more.
            file = FileState.BEHIND if file is FileState.BEHIND else FileState.AGREES
            return Facts(is_loaded=is_everywhere, missing=look.missing, file=file, workers_seen=is_everywhere)
        if plan.hold is Hold.NOT_LOADED:
            # One gateway's servers may have it, and another's not.
            return Facts(is_loaded=is_everywhere, missing=look.missing, file=file, entry=entry, workers_seen=is_everywhere)
        if plan.hold is Hold.FILE_CHANGED:
            # One gateway's file may agree, and another's not.
            file = FileState.AGREES if is_everywhere else FileState.CHANGED
        if look.is_loaded is False and versions.is_unnamed(plan, sight):
            file = FileState.CHANGED  # no half of a file: a server has read it
        is_loaded = look.is_loaded is not False
        return Facts(is_loaded=is_loaded, missing=look.missing, file=file, entry=entry, workers_seen=is_everywhere)

    def _has_done_its_part(self, plan: Plan, sight: Sight, view: View) -> bool:
        look, file = versions.loaded(plan, sight), self._loading.file_state(plan, sight)
        if plan.state is State.LOADING:
            return look.is_loaded is True and file in (FileState.AGREES, FileState.UNKNOWN)
        if plan.state is State.WARMING:
            return self._warming.note(plan.id) is not None or self._is_warmed_by_another(plan, view)
        if plan.is_ended and plan.drops_other:
            return look.is_loaded is True and file is not FileState.BEHIND
        if plan.state is State.REFUSED:
            return self._loading.is_put_back(plan, sight)
        if plan.hold is Hold.FILE_CHANGED:
            return file is FileState.AGREES or not self._loading.has_file
        return plan.hold is not Hold.NOT_LOADED or look.is_loaded is True

    def _is_everywhere(self, plan: Plan, view: View) -> bool:
        """Whether this worker, and every other one that was heard of lately, has seen the revision."""
        others = [worker.seen.get(plan.id, 0) for boot, worker in view.workers.items() if boot != self._boot]
        return all(revision >= plan.revision for revision in [self.seen.get(plan.id, 0), *others])

    def _warmed(self, plan: Plan, sight: Sight, view: View) -> Change | None:
        if not self._is_warmed_by_another(plan, view):
            self._warming.warm(plan, self._turn(view), sight.told)
        note, waited_us = self._warming.note(plan.id), view.at_us - plan.state_us
        if note is None:
            # The worker that has done it tells of it; it may be gone.
            is_over = waited_us >= _TELL_US and self._is_everywhere(plan, view)
        else:
            is_over = waited_us >= _WARM_AT_MOST_US or self._is_everywhere(plan, view)
        return changes.warmed(plan, view.at_us, note or "warmed up by another worker") if is_over else None

    def _is_warmed_by_another(self, plan: Plan, view: View) -> bool:
        """Whether a worker of the same host has done it: it has the same model servers."""
        return any(
            worker.host == self._host and worker.seen.get(plan.id, 0) >= plan.revision
            for boot, worker in view.workers.items()
            if boot != self._boot
        )

    def _turn(self, view: View) -> int:
        """How many workers of this host come before this one."""
        return sum(boot < self._boot for boot, worker in view.workers.items() if worker.host == self._host)


def _is_as_noted(plan: Plan, sight: Sight, failed: Collection[int]) -> bool:
    """Whether this worker's servers are as a draft says: they serve its ``others``, or have lost the version it moves from."""
    if plan.state is not State.DRAFT or plan.stable is None:
        return True
    if plan.moves_to is not None:
        return versions.has_lost_pin(plan, sight)
    return plan.others == others_of(plan, plan.stable, versions.present(sight), failed)


def _needs_servers(before: Plan, after: Plan) -> bool:
    """Whether a change must not be made while no model server answers: it leads on, or lets a version go."""
    return after.canary_weight > before.canary_weight or after.drops_other != before.drops_other or not after.is_open
