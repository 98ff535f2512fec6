"""Simulated traffic of rollouts: the counts that each look sees. No request is drawn by itself, so that hours take a second."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The true rates, and how many requests a look has: ``canary_requests``, the same of baseline, and ``others`` of all else.

    ``ratio`` is how many times stable's ``error_rate`` the canary's is. Both are slow in 5 % of the requests, which is the
    definition of slow, and as many compared answers differ as is just tolerated.
    """

    error_rate: float
    canary_requests: int
    ratio: float = 1.0
    weight: float = 0.1
    slow_rate: float = 0.05
    disagreement: float = 0.01

    @property
    def others(self) -> int:
        """The requests of stable and baseline in a look."""
        return round(self.canary_requests * (1 - self.weight) / self.weight)


@dataclass(frozen=True)
class Traffic:
    """Counts of shape (rollouts, looks)."""

    truth: Truth
    canary_errors: Counts
    other_errors: Counts
    canary_slow: Counts
    baseline_slow: Counts
    disagreements: Counts


def drawn(truth: Truth, rollouts: int, looks: int, seed: int) -> Traffic:
    """Traffic by the truth; the same seed draws the same."""
    chance, shape = np.random.default_rng(seed), (rollouts, looks)

    def counts(n: int, rate: float) -> Any:
        return chance.binomial(n, min(1.0, rate), shape)

    n = truth.canary_requests
    return Traffic(
        truth,
        canary_errors=counts(n, truth.error_rate * truth.ratio),
        other_errors=counts(truth.others, truth.error_rate),
        canary_slow=counts(n, truth.slow_rate),
        baseline_slow=counts(n, truth.slow_rate),
        disagreements=counts(n, truth.disagreement),
    )
