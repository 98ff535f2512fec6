"""What a worker decides while the database is away: it may take a canary back by its own sums, and nothing else."""

from collections.abc import Collection, Iterable, Mapping

from gateway.rollout.changes import Change
from gateway.rollout.decision import alone, taken_back_alone
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Plan
from gateway.telemetry.logs import logger

log = logger("rollout")


class Alone:
    """The rollouts that this worker has taken back alone, until the database knows."""

    def __init__(self) -> None:
        self._own: dict[str, dict[int, Totals]] = {}

    def look(self, plans: Iterable[Plan], sums: Mapping[tuple[str, int], Totals], workers: int) -> None:
        """Take back what this worker's own ``sums`` prove, when each of so many ``workers`` may do so."""
        for plan in plans:
            own = {step: totals for (plan_id, step), totals in sums.items() if plan_id == plan.id}
            if plan.id not in self._own and alone(plan, own, max(1, workers)):
                self._own[plan.id] = own
                log.warning("rollout.alone", rollout=plan.id, model=plan.model, version=plan.canary, workers=workers)

    def as_decided(self, plans: Iterable[Plan], now_us: int) -> tuple[Plan, ...]:
        """The plans as this worker's requests follow them."""
        return tuple(plan if (change := self.change_of(plan, now_us)) is None else change[0] for plan in plans)

    def change_of(self, plan: Plan, now_us: int) -> Change | None:
        """What the database does not know yet of ``plan``."""
        own = self._own.get(plan.id)
        return None if own is None else taken_back_alone(plan, own, now_us)

    def forget_all_but(self, plan_ids: Collection[str]) -> None:
        """Other plans are over."""
        self._own = {plan_id: own for plan_id, own in self._own.items() if plan_id in plan_ids}
