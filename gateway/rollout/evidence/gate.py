"""The gate of a step up: enough data, no suspicion, callers split as the weight says, and a high error rate ruled out.

It looks the other way than ``eprocess``: a rollback needs proof that the canary is worse, a step up needs proof that it is not.
"""

import math
from dataclasses import dataclass
from typing import Final

from gateway.rollout.evidence.eprocess import SUSPICIOUS
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import PER_REQUEST, WHOLE, Hold, Plan

_CONFIDENCE: Final = 0.95
_LEAST_P: Final = 0.001
_TINY: Final = 1e-300
_BISECTIONS: Final = 60
# Quantile of the normal distribution for a two-sided interval of 95 %.
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate says: ``hold`` is NONE if the next step may begin, and otherwise ``reason`` tells an operator why not."""

    hold: Hold
    reason: str = ""


def gate(totals: Totals, log_e: float, plan: Plan) -> Gate:
    """Whether the evidence of the current step lets the canary's weight rise. The bake time is the caller's concern.

    ``totals`` are the sums of the current step, ``log_e`` is the combined ln E of the whole rollout. While the weight is 0, the
    shadow's pairs count as the data.
    """
    reason = _missing_data(totals, plan)
    if reason:
        return Gate(Hold.NO_DATA, reason)
    if log_e >= SUSPICIOUS:
        told = f"the evidence against the canary is E = {math.exp(min(log_e, 700)):.3g}"
        return Gate(Hold.SUSPICIOUS, f"{told}, and a step up needs less than 10")
    reason = _uneven_split(totals, plan)
    if reason:
        return Gate(Hold.SPLIT, reason)
    return _error_bound(totals, plan.most_bad) if plan.weight > 0 else Gate(Hold.NONE)


def _missing_data(totals: Totals, plan: Plan) -> str:
    others = totals.baseline_cells + totals.stable_cells
    have = [("the canary", totals.canary_cells, plan.weight > 0), ("stable", others, 0 < plan.weight < WHOLE)]
    for name, cells, is_needed in have:
        if is_needed and cells < plan.least_cells:
            return f"{name} has {cells} cells (callers within 10 s), and the step needs {plan.least_cells}"
    if plan.weight == 0 and totals.pairs < plan.least_cells:
        return f"{totals.pairs} answers of the shadow were compared, and the step needs {plan.least_cells}"
    return ""


def _uneven_split(totals: Totals, plan: Plan) -> str:
    """Callers of one worker only once, since they come again; of several workers, a caller may have been seen by each."""
    if plan.mode == PER_REQUEST:
        what, canary, others = "requests", totals.canary_routed, totals.other_routed
    else:
        seen_by = max(1, totals.workers)
        what, canary, others = "callers", totals.canary_callers // seen_by, totals.other_callers // seen_by
    p = split_p_value(canary, others, plan.weight / WHOLE)
    if p >= _LEAST_P:
        return ""
    found, wanted = _percent(canary / (canary + others)), _percent(plan.weight / WHOLE)
    return f"the canary has {found} of the {what} instead of {wanted}, which chance does not explain (p = {p:.1g})"


def _error_bound(totals: Totals, most: float) -> Gate:
    bad, n = totals.canary_errors, totals.canary_cells
    bound = upper_bound(bad, n, _CONFIDENCE)
    if bound > most:
        if bad == 0 and most > 0:
            needed = math.ceil(math.log(1 - _CONFIDENCE) / math.log1p(-most))
            told = f"the canary has {n} cells (callers within 10 s) and no errors"
            return Gate(Hold.NO_DATA, f"{told}; to rule out errors in {_percent(most)} of them it needs {needed}")
        told = f"{bad} of the canary's {n} cells have errors: up to {_percent(bound)} may be the truth"
        return Gate(Hold.SUSPICIOUS, f"{told}, and more than {_percent(most)} must be ruled out")
    if upper_bound(min(n, bad + totals.canary_unchecked), n, _CONFIDENCE) > most:
        told = f"{totals.canary_unchecked} of the canary's faults could not be asked of stable"
        return Gate(Hold.NO_DATA, f"{told}: if stable has none of them, the canary has errors in more than {_percent(most)}")
    return Gate(Hold.NONE)


def upper_bound(bad: int, n: int, confidence: float = _CONFIDENCE) -> float:
    """The highest rate that ``bad`` of ``n`` do not rule out: one-sided, exact (Clopper and Pearson); 1 if ``n`` is 0."""
    if bad >= n:
        return 1.0
    low, high = bad / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(bad, n, middle) > 1 - confidence else (low, middle)
    return high


def wilson(bad: int, n: int) -> tuple[float, float]:
    """The 95 % interval of the rate, for display (Wilson's). All rates are possible while n is 0."""
    if n == 0:
        return 0.0, 1.0
    rate, square = bad / n, _Z * _Z / n
    middle, half = rate + square / 2, _Z * math.sqrt(rate * (1 - rate) / n + square / (4 * n))
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return 0.0 if bad == 0 else low, 1.0 if bad == n else high


def split_p_value(canary: int, others: int, share: float) -> float:
    """The two-sided p-value if each is the canary's with probability ``share``: exact, twice the lesser tail."""
    n = canary + others
    if n == 0:
        return 1.0
    if share <= 0 or share >= 1:
        return float((canary if share <= 0 else others) == 0)
    above = 1.0 if canary == 0 else 1 - _at_most(canary - 1, n, share)
    return min(1.0, 2 * min(_at_most(canary, n, share), above))


def _at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) of a binomial X; 0 < p < 1."""
    return 1.0 if k >= n else _incomplete_beta(n - k, k + 1, 1 - p)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (dlmf.nist.gov/8.17#v)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    factor = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(factor) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)), by Lentz's method; it takes some sqrt(max(a, b)) terms."""
    result, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(1, 100_000):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + d * denominator) or _TINY)
        numerator = (1 + d / numerator) or _TINY
        result *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-15:
            break
    return result


def _percent(part: float) -> str:
    return f"{part * 100:.3g} %"
