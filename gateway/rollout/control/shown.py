"""The metrics and log events of rollouts that the follower sees: where plans stand, what is proven, what was decided."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.rollout.changes import Change
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.figures import DISAGREEMENT, ERRORS, SLOW, counted, figures, leading, log_e_of
from gateway.rollout.plan import GATEWAY, WHOLE, Hold, Plan, State
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("rollout")

_METRICS: Final = {ERRORS: "error", SLOW: "slow", DISAGREEMENT: "disagree"}
_ALL: Final = "all"
_BY_EVIDENCE: Final = ("rollback", "freeze")
_DECISIONS: Final = {
    "refuse": ("",),
    "hold": tuple(str(hold) for hold in Hold if hold),
    **dict.fromkeys(("release", "step", "promote"), ("",)),
    **dict.fromkeys(_BY_EVIDENCE, tuple(_METRICS.values())),
}
"""What is counted as a decision, by its reasons. The other changes only carry out what was ordered or decided."""


class Shown:
    """What one worker has shown of the plans."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}

    def show(self, plans: Sequence[Plan], totals: Mapping[str, Mapping[int, Totals]]) -> None:
        """These are the open plans, and the sums of each by step."""
        now = {plan.model: plan for plan in plans}
        for model, before in self._plans.items():
            if model not in now:
                _end(model, before)
        for model, plan in now.items():
            known = self._plans.get(model)
            if known is None or known.id != plan.id:
                _begin(model)
            if known is None or (known.id, known.revision) != (plan.id, plan.revision):
                _follow(plan, known)
            _show_evidence(plan, totals.get(plan.id, {}))
        self._plans = now


def count_decision(before: Plan, change: Change, by_step: Mapping[int, Totals]) -> None:
    """This worker has made the change, and no other one."""
    after, event = change
    log.info(
        "rollout.changed",
        rollout=after.id,
        model=after.model,
        revision=after.revision,
        what=event.what,
        before=event.before,
        after=event.after,
        reason=event.reason,
    )
    if event.by == GATEWAY and event.what in _DECISIONS:
        by_evidence = _METRICS[leading(counted(before, by_step)).metric] if event.what in _BY_EVIDENCE else ""
        metrics.ROLLOUT_DECISIONS.labels(after.model, event.what, by_evidence or str(after.hold)).inc()


def _begin(model: str) -> None:
    """A rollout of ``model`` has begun: its decisions are counted from 0 on."""
    for decision, reasons in _DECISIONS.items():
        for reason in reasons:
            metrics.ROLLOUT_DECISIONS.labels(model, decision, reason)


def _follow(plan: Plan, before: Plan | None) -> None:
    weight = plan.canary_weight / WHOLE
    log.info(
        "rollout.followed",
        rollout=plan.id,
        model=plan.model,
        revision=plan.revision,
        state=str(plan.state),
        hold=str(plan.hold),
        weight=weight,
    )
    metrics.ROLLOUT_WEIGHT.labels(plan.model).set(weight)
    for state in State if before is None else {before.state, plan.state}:
        metrics.ROLLOUT_STATE.labels(plan.model, str(state)).set(state is plan.state)


def _end(model: str, plan: Plan) -> None:
    log.info("rollout.closed", rollout=plan.id, model=model)
    # A gauge of several workers cannot be taken back.
    metrics.ROLLOUT_WEIGHT.labels(model).set(math.nan)
    metrics.ROLLOUT_STATE.labels(model, str(plan.state)).set(0)
    for metric in (*_METRICS.values(), _ALL):
        metrics.ROLLOUT_LOG_E.labels(model, metric).set(math.nan)


def _show_evidence(plan: Plan, by_step: Mapping[int, Totals]) -> None:
    metrics.ROLLOUT_LOG_E.labels(plan.model, _ALL).set(log_e_of(plan, by_step))
    for figure in figures(counted(plan, by_step)):
        metrics.ROLLOUT_LOG_E.labels(plan.model, _METRICS[figure.metric]).set(figure.log_e)
