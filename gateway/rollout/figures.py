"""What the evidence of a rollout says in numbers: k of n by metric, the exposure, and E.

Only steps from the plan's ``evidence_from`` on count.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import msgspec

from gateway.rollout.evidence.eprocess import combined_log_e, log_e, rollback_at
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Plan

ERRORS: Final = "errors"
SLOW: Final = "slow answers"
DISAGREEMENT: Final = "disagreement"

_FINITE: Final = 1e18  # JSON has no infinity


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: ``bad`` of the ``n`` events are the canary's, which had the ``share`` of the exposure; ``log_e`` is its ln E.

    Of disagreement: ``bad`` of ``n`` compared answers differ, and the share is 1.
    """

    metric: str
    bad: int
    n: int
    share: float
    log_e: float


def counted(plan: Plan, by_step: Mapping[int, Totals]) -> Totals:
    """The sums of all steps whose evidence counts."""
    return reduce(add, (totals for step, totals in by_step.items() if step >= plan.evidence_from), Totals())


def log_e_of(plan: Plan, by_step: Mapping[int, Totals]) -> float:
    """The combined ln E of the rollout, which takes the canary back from ``rollback_at(plan.alpha)`` on."""
    total = counted(plan, by_step)
    return combined_log_e(total.error, total.slow, total.disagree)


def figures(total: Totals) -> tuple[Figure, ...]:
    """Each metric of the sums, in the order of their parts of the combined E."""
    all_cells = total.canary_cells + total.baseline_cells + total.stable_cells
    timed = total.canary_timed + total.baseline_timed
    bad, slow = total.canary_errors + total.stable_errors, total.canary_slow + total.baseline_slow
    return (
        Figure(ERRORS, total.canary_errors, bad, total.canary_cells / max(1, all_cells), log_e(total.error)),
        Figure(SLOW, total.canary_slow, slow, total.canary_timed / max(1, timed), log_e(total.slow)),
        Figure(DISAGREEMENT, total.disagreements, total.pairs, 1.0, log_e(total.disagree)),
    )


def leading(total: Totals) -> Figure:
    """The metric that gives most of the combined E: errors count for half of it, the others for a quarter each."""
    return max(figures(total), key=lambda figure: figure.log_e + (math.log(2) if figure.metric == ERRORS else 0.0))


def known(plan: Plan, by_step: Mapping[int, Totals]) -> dict[str, Any]:
    """What is known now, for the history's JSON."""
    total = counted(plan, by_step)
    return {
        "log_e": _finite(log_e_of(plan, by_step)),
        "rollback_at_log_e": rollback_at(plan.alpha),
        "metrics": {
            figure.metric: {"bad": figure.bad, "n": figure.n, "share": figure.share, "log_e": _finite(figure.log_e)}
            for figure in figures(total)
        },
        "totals": {
            name: [_finite(one) for one in value] if isinstance(value, list) else value
            for name, value in msgspec.structs.asdict(total).items()
        },
    }


def _finite(number: float) -> float:
    return max(-_FINITE, min(_FINITE, number))
