"""The evidence against a canary as an e-process: eight log weights for each metric, which only have to be added up.

E is the mean of ``exp(S_j)`` over eight alternatives. As long as the canary is no worse than is tolerated, E is a nonnegative
supermartingale that begins at 1, so P(E ever reaches 1/alpha) <= alpha, whenever and however often somebody looks (Ville's
inequality). The sums may be of any number of windows, workers and hosts, in any order.

The method is that of arXiv:2011.03567 (two rates, always valid) and arXiv:2205.14762.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.rollout.evidence.totals import POINTS

GRID: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
"""The alternatives: how many times worse than tolerated."""

SUSPICIOUS: Final = math.log(10)
"""From this combined ln E on nothing is stepped up."""

LEAST: Final = -1e18
"""Stands for ln 0 in sums: JSON has no infinity, and exp() of both is 0."""

_PARTS: Final = (0.5, 0.25, 0.25)
# Of alpha, for decisions of workers that are alone because the database is away.
_ALONE: Final = 0.01


def ratio_weights(k: int, n: int, w: float, ratio: float) -> list[float]:
    """What one segment adds to each S_j, against H0: the canary's bad rate is at most ``ratio`` times the other's.

    ``k`` of ``n`` bad cells were the canary's; ``w`` is the canary's part of the exposed cells. Pairs, which saw the same input
    on both versions, are the case ``w`` = 1/2. A segment in which only one side was exposed teaches nothing: all are 0.

    The bound holds for versions that are equal, and for any ratio of the odds up to ``ratio``. While bad cells are rare, the
    ratio of the odds is that of the rates.
    """
    if n == 0 or not 0 < w < 1:
        return [0.0] * POINTS
    here = _canary_part(w, ratio)
    return [_likelihood_ratio(k, n, _canary_part(w, ratio * times), here) for times in GRID]


def rate_weights(k: int, n: int, most: float) -> list[float]:
    """What one segment adds to each S_j, against H0: an event has at most the probability ``most``; ``k`` of ``n`` had it.

    One trial without the event refutes an alternative that says "always": -inf. If ``most`` is 0, one event refutes H0: inf.
    """
    if n == 0 or most >= 1:
        return [0.0] * POINTS
    if most <= 0:
        return [math.inf if k else 0.0] * POINTS
    return [_likelihood_ratio(k, n, min(1.0, most * times), most) for times in GRID]


def added(sums: Iterable[float], weights: Iterable[float]) -> list[float]:
    """The sums of both, never under ``LEAST`` and never over ``-LEAST``, so that they can be written as JSON."""
    return [min(max(one + two, LEAST), -LEAST) for one, two in zip(sums, weights, strict=True)]


def log_e(weights: Sequence[float]) -> float:
    """ln E of one metric: the log of the mean of ``exp(S_j)``; 0 before anything is known."""
    return _log_sum(weights) - math.log(len(weights))


def combined_log_e(error: Sequence[float], slow: Sequence[float], disagree: Sequence[float]) -> float:
    """ln E of a rollout, from the log weights S_j of its metrics: a weighted mean, valid under any dependence between them."""
    return _log_sum([math.log(part) + log_e(weights) for part, weights in zip(_PARTS, (error, slow, disagree), strict=True)])


def rollback_at(alpha: float) -> float:
    """The combined ln E from which a version is taken back, at a probability of ``alpha`` at most if it is no worse.

    One hundredth of ``alpha`` is kept for ``alone_at``.
    """
    return -math.log((1 - _ALONE) * alpha)


def alone_at(alpha: float, workers: int) -> float:
    """The combined ln E of one worker's own sums from which it takes a version back alone, because the database is away.

    Each of ``workers`` may do so: together they have one hundredth of ``alpha`` (the union bound).
    """
    return math.log(workers) - math.log(_ALONE * alpha)


def _canary_part(w: float, ratio: float) -> float:
    """The probability that a bad cell is the canary's if its bad rate is ``ratio`` times the other's."""
    return w * ratio / (w * ratio + 1 - w)


def _likelihood_ratio(k: int, n: int, there: float, here: float) -> float:
    """ln of P(``k`` of ``n``) if each has the probability ``there``, divided by that if it is ``here``; 0 < ``here`` < 1."""
    events = k * math.log(there / here)
    if k == n:
        return events
    return events + (n - k) * (math.log1p(-there) - math.log1p(-here)) if there < 1 else -math.inf


def _log_sum(weights: Iterable[float]) -> float:
    """ln of the sum of ``exp``, without overflow."""
    known = list(weights)
    top = max(known)
    return top if math.isinf(top) else top + math.log(sum(math.exp(weight - top) for weight in known))
