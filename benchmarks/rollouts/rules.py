"""Rules that take a version back. Each says at which look, for every rollout of the same traffic.

The rules with a threshold are those of other programs, with settings as in their documentation: a check fails when the canary's
success rate is below a threshold, and so many failed checks end the rollout. They look at the canary alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.rollouts.traffic import Counts, Traffic
from gateway.rollout.evidence import eprocess
from gateway.rollout.plan import Plan, Step

NEVER: Final = -1
Rule = Callable[[Traffic], Counts]
PLAN: Final = Plan(
    id="simulated",
    model="simulated",
    canary=2,
    steps=(Step(100_000),),
    salt="",
    author="",
    created_us=0,
    state_us=0,
    step_us=0,
)
"""Ours, with the settings that a plan has by default."""


def evidence(traffic: Traffic) -> Counts:
    """Our rule: the combined evidence of errors, slow answers and disagreement reaches the bound. A look is a window."""
    return np.array([_evidence_of_one(traffic, rollout) for rollout in range(len(traffic.canary_errors))])


def _evidence_of_one(traffic: Traffic, rollout: int) -> int:
    truth, bound = traffic.truth, eprocess.rollback_at(PLAN.alpha)
    n, weight = truth.canary_requests, truth.canary_requests / (truth.canary_requests + truth.others)
    error = slow = disagree = [0.0] * len(eprocess.GRID)
    for look in range(traffic.canary_errors.shape[1]):
        k, m, differ = (
            int(counts[rollout, look]) for counts in (traffic.canary_errors, traffic.canary_slow, traffic.disagreements)
        )
        bad, late = k + int(traffic.other_errors[rollout, look]), m + int(traffic.baseline_slow[rollout, look])
        error = eprocess.added(error, eprocess.ratio_weights(k, bad, weight, PLAN.error_ratio))
        slow = eprocess.added(slow, eprocess.ratio_weights(m, late, 0.5, PLAN.slow_ratio))
        disagree = eprocess.added(disagree, eprocess.rate_weights(differ, n, PLAN.most_disagreement))
        if eprocess.combined_log_e(error, slow, disagree) >= bound:
            return look
    return NEVER


def threshold(least_success: float, failed_checks: int) -> Rule:
    """Take back at the ``failed_checks``-th look with a success rate below ``least_success``."""

    def rule(traffic: Traffic) -> Counts:
        success: Any = 1 - traffic.canary_errors / traffic.truth.canary_requests
        is_over = np.cumsum(success < least_success, axis=1) >= failed_checks
        return np.where(is_over.any(axis=1), is_over.argmax(axis=1), NEVER)

    return rule


RULES: Final[Mapping[str, Rule]] = {
    "ours: E >= 1/alpha, alpha = 0.01": evidence,
    "Argo style: success < 95 %, failureLimit 0": threshold(0.95, 1),
    "Argo style: success < 95 %, failureLimit 3": threshold(0.95, 4),
    "Flagger style: success < 99 %, 5 failed checks": threshold(0.99, 5),
}
