"""Figures of what was counted: rates, and how long requests took."""

from typing import Final

import numpy as np

from gateway.api.console.recent.counts import BUCKETS, Matrix
from gateway.telemetry.metrics import SECONDS
from gateway.telemetry.reading.numbers import Values

_BOUNDS_MS: Final = np.array([0.0, *SECONDS, SECONDS[-1]]) * 1000
"""Where each bucket begins, and where the last one ends: what is above the largest bound counts as if it were at it."""

_DIGITS: Final = 4


def quantiles_ms(buckets: Matrix, quantile: float) -> Values:
    """The quantile of each row of ``buckets``, shape ``[n, BUCKETS]``, in milliseconds; NaN where nothing was counted.

    Within its bucket it is where it would be if the requests were spread evenly, as ``histogram_quantile`` of Prometheus does.
    """
    below = buckets.cumsum(axis=1)
    total = below[:, -1]
    rank = quantile * total
    place = np.minimum((below < rank[:, np.newaxis]).sum(axis=1), BUCKETS - 1)
    each = np.arange(len(buckets))
    inside = buckets[each, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(inside > 0, (rank - (below[each, place] - inside)) / inside, 0.0)
    first, last = _BOUNDS_MS[place], _BOUNDS_MS[place + 1]
    return np.where(total > 0, rounded(first + (last - first) * np.clip(part, 0, 1)), np.nan)


def rates(counted: Matrix, span_s: Values) -> Matrix:
    """``counted`` per second: of each row ``[n, ...]`` or element ``[n]``, in ``span_s[n]`` seconds."""
    spans = span_s if counted.ndim == 1 else span_s[:, np.newaxis]
    return rounded(counted / spans)


def rounded(numbers: Matrix) -> Matrix:
    """With four digits, which is more than a chart shows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(numbers)))
    scale = 10.0 ** (_DIGITS - 1 - np.where(np.isfinite(magnitude), magnitude, 0))
    return np.rint(numbers * scale) / scale
