"""Tests of whether two samples come from one distribution. Each says how large the difference is, and its p-value.

A p-value is None where there is nothing to test, such as a column with one value only.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.prediction_log.offline.drift.distributions import chi_square_tail, kolmogorov_tail

Numbers: TypeAlias = "npt.NDArray[np.float64]"
Counts: TypeAlias = "npt.NDArray[np.int64]"

MOST_CATEGORIES: Final = 50
_BINS: Final = 10
_LEAST_EXPECTED: Final = 5  # Cochran's rule for the chi-square test


class Result(NamedTuple):
    """A statistic and its p-value."""

    statistic: float
    p: float | None


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> Result:
    """The largest distance of the two empirical distribution functions. Neither sample is empty, or has NaN."""
    one, other = np.sort(reference), np.sort(current)
    values = np.concatenate([one, other])
    shares = (np.searchsorted(sample, values, "right") / len(sample) for sample in (one, other))
    distance = float(np.abs(np.subtract(*shares)).max())
    return Result(distance, kolmogorov_tail(distance * math.sqrt(len(one) * len(other) / (len(one) + len(other)))))


def decile_counts(reference: Numbers, current: Numbers) -> tuple[Counts, Counts]:
    """How many values of each sample lie in the ten bins of the reference's deciles; less bins if it has equal ones."""
    ordered = np.sort(reference)
    edges = np.unique(ordered[[math.ceil(len(ordered) * k / _BINS) - 1 for k in range(1, _BINS)]])
    edges = edges[edges < ordered[-1]]
    one, other = (
        np.bincount(np.searchsorted(edges, sample, "left"), minlength=len(edges) + 1) for sample in (reference, current)
    )
    return one, other


def category_counts(reference: Mapping[object, int], current: Mapping[object, int]) -> tuple[Counts, Counts]:
    """The counts of both samples by category. What is rare, or beyond the most common ones, is one category."""
    both = Counter(reference) + Counter(current)
    n, m = sum(reference.values()), sum(current.values())
    least = _LEAST_EXPECTED * (n + m) / max(min(n, m), 1)
    common = [value for value, count in both.most_common(MOST_CATEGORIES - 1) if count >= least]
    pairs = [(reference.get(value, 0), current.get(value, 0)) for value in common]
    rest = (n - sum(one for one, _ in pairs), m - sum(other for _, other in pairs))
    if sum(rest) >= least:
        pairs.append(rest)
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def population_stability_index(reference: Counts, current: Counts) -> Result:
    """PSI of the shares in bins, and the p-value that its size alone does not tell.

    Without a difference PSI is about (1/n + 1/m) times a chi-square variable with a degree less than there are bins. Half a row
    is added to each bin, because the logarithm needs one.
    """
    bins = len(reference)
    if bins < 2:
        return Result(0.0, None)
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * bins) for counts in (reference, current))
    index = float(((p - q) * np.log(p / q)).sum())
    return Result(index, chi_square_tail(index / (1 / reference.sum() + 1 / current.sum()), bins - 1))


def chi_square(reference: Counts, current: Counts) -> Result:
    """Pearson's test of homogeneity of two rows of counts."""
    table = np.array([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return Result(0.0, None)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Result(statistic, chi_square_tail(statistic, table.shape[1] - 1))
