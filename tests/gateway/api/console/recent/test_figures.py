"""Rates and quantiles are right: held against NumPy's, of the requests themselves."""

from itertools import pairwise

import numpy as np
import pytest

from gateway.api.console.recent.counts import BUCKETS
from gateway.api.console.recent.figures import quantiles_ms, rates, rounded
from gateway.telemetry.metrics import SECONDS

EDGES = np.array([0.0, *SECONDS, np.inf])


def bucketed(seconds: np.ndarray) -> np.ndarray:
    """How many are in each bucket, which has its upper bound in it."""
    return np.bincount(np.searchsorted(SECONDS, seconds), minlength=BUCKETS).astype(np.float64)


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("seed", range(10))
def test_a_quantile_is_in_the_bucket_of_the_true_one(seed, quantile):
    rng = np.random.default_rng(seed)
    seconds = np.minimum(rng.lognormal(-4 + seed / 3, 1.5, rng.integers(1, 2000)), SECONDS[-1])
    (found_ms,) = quantiles_ms(bucketed(seconds)[np.newaxis], quantile)
    true_s = np.quantile(seconds, quantile, method="inverted_cdf")
    place = np.searchsorted(SECONDS, true_s)
    assert EDGES[place] * 1000 <= found_ms * (1 + 1e-4)
    assert found_ms * (1 - 1e-4) <= EDGES[place + 1] * 1000


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9, 0.95])
def test_of_requests_that_are_spread_evenly_in_their_buckets_it_is_the_true_one(quantile):
    each = 1000
    parts = [np.linspace(low, high, each + 1)[1:] for low, high in pairwise(EDGES[:6])]
    seconds = np.concatenate(parts)
    (found_ms,) = quantiles_ms(bucketed(seconds)[np.newaxis], quantile)
    assert found_ms == pytest.approx(1000 * np.quantile(seconds, quantile), rel=2e-3)


def test_each_row_has_its_own_and_one_without_requests_has_none():
    rows = np.stack([bucketed(np.full(10, 0.004)), np.zeros(BUCKETS), bucketed(np.full(1, 99.0))])
    half, high = quantiles_ms(rows, 0.5), quantiles_ms(rows, 0.95)
    assert half[0] == 3.75  # the middle of 2.5 to 5 ms
    assert np.isnan(half[1])
    assert np.isnan(high[1])
    assert half[2] == high[2] == 10_000  # what is above the largest bound counts as if it were at it
    assert quantiles_ms(np.empty((0, BUCKETS)), 0.5).shape == (0,)


def test_a_rate_is_of_the_seconds_that_its_tick_took():
    assert rates(np.array([10.0, 10.0, np.nan]), np.array([1.0, 2.5, 1.0])).tolist()[:2] == [10, 4]
    assert rates(np.array([[6.0, 3.0]]), np.array([3.0])).tolist() == [[2, 1]]
    assert rounded(np.array([0.0, 123456.0, 0.000123456, 1 / 3])).tolist() == [0, 123500, 0.0001235, 0.3333]
