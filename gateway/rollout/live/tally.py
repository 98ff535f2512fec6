"""What this worker has counted in each step of its plans: sums that only grow, until the database has them."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeAlias

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.evidence.windows import Windows
from gateway.rollout.plan import Plan
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("rollout")

StepKey: TypeAlias = tuple[str, int]
"""A plan's id, and the number of one of its steps."""

_EXPOSED: Final = ("stable", "baseline", "canary")
_BAD: Final = (
    ("stable", "error", "stable_errors"),
    ("canary", "error", "canary_errors"),
    ("baseline", "slow", "baseline_slow"),
    ("canary", "slow", "canary_slow"),
    ("canary", "disagree", "disagreements"),
)


class Tally:
    """The windows of the steps that run, and the sums of those that are over. For one event loop.

    A plan goes back to an earlier step when its database has lost what was written last. What this worker had counted there
    stays in its sums: ``_earlier``.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._windows: dict[StepKey, Windows] = {}
        self._ended: dict[StepKey, Totals] = {}
        self._earlier: dict[StepKey, Totals] = {}
        self._models: dict[str, str] = {}
        self._shown: dict[StepKey, Totals] = {}

    def windows(self, plan: Plan) -> Windows:
        """The windows of the plan's current step: the same ones for each of its revisions."""
        key = (plan.id, plan.step)
        found = self._windows.get(key)
        if found is None:
            if plan.id not in self._models:
                self._models[plan.id] = plan.model
                metrics.begin_rollout(plan.model)
            before = next((windows for (owner, _), windows in self._windows.items() if owner == plan.id), None)
            found = self._windows[key] = Windows.of(plan, self._now, before)
            if key in self._ended:
                self._earlier[key] = self._ended.pop(key)
        return found

    def end_all_but(self, current: Collection[StepKey]) -> None:
        """The other steps are over: their windows that are still open are not weighed."""
        for key in self._windows.keys() - set(current):
            self._ended[key] = self._sums(key)
            del self._windows[key]
            self._earlier.pop(key, None)

    def report(self) -> dict[StepKey, Totals]:
        """The sums of every step of the plans that run, and of plans that are over and not written yet. Shows the metrics."""
        sums = self._ended | {key: self._sums(key) for key in self._windows}
        try:
            for key, totals in sums.items():
                self._show(key, totals)
        except Exception:  # the worker goes on to tell the database, and to follow the plans
            log.exception("rollout.metrics_failed")
        return sums

    def note_written(self, report: Mapping[StepKey, Totals]) -> None:
        """The database has ``report``: what it holds of plans that are over is forgotten."""
        running = {plan for plan, _ in self._windows}
        for key, totals in report.items():
            if key[0] not in running and self._ended.get(key) == totals:
                del self._ended[key]
                self._shown.pop(key, None)
        held = running | {plan for plan, _ in self._ended}
        self._models = {plan: model for plan, model in self._models.items() if plan in held}

    def _sums(self, key: StepKey) -> Totals:
        """What was counted in a step that runs."""
        totals, earlier = self._windows[key].totals(), self._earlier.get(key)
        return totals if earlier is None else earlier + totals

    def _show(self, key: StepKey, totals: Totals) -> None:
        model, before = self._models[key[0]], self._shown.get(key) or Totals()
        for arm in _EXPOSED:
            more = getattr(totals, f"{arm}_cells") - getattr(before, f"{arm}_cells")
            metrics.ROLLOUT_EXPOSED.labels(model, arm).inc(max(0, more))
        for arm, metric, name in _BAD:
            more = getattr(totals, name) - getattr(before, name)
            metrics.ROLLOUT_BAD.labels(model, arm, metric).inc(max(0, more))
        self._shown[key] = totals
