"""The e-process has the numbers of its specification, and takes back a version that is no worse with at most alpha."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rollout.evidence.eprocess import (
    GRID,
    LEAST,
    SUSPICIOUS,
    added,
    alone_at,
    combined_log_e,
    log_e,
    rate_weights,
    ratio_weights,
    rollback_at,
)
from gateway.rollout.evidence.totals import POINTS

AT_100 = math.log(100)
ZEROS = [0.0] * POINTS


@pytest.mark.parametrize(
    ("k", "n", "w", "ratio", "expected"),
    [
        (3, 3, 0.1, 1.5, 4.787642),
        (5, 10, 0.1, 1.5, 2.458853),
        (2, 10, 0.1, 1.5, -0.913771),
        (12, 20, 0.5, 1.5, -1.981725),
        (18, 20, 0.5, 1.5, 3.523143),
    ],
)
def test_one_segment_has_the_specified_evidence(k, n, w, ratio, expected):
    assert log_e(ratio_weights(k, n, w, ratio)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("w", "n", "k"),
    [
        *((0.1, n, k) for n, k in ((3, 3), (5, 5), (10, 7), (20, 10), (50, 18), (100, 29), (200, 48))),
        *((0.5, n, k) for n, k in ((11, 11), (20, 19), (50, 42), (100, 77), (200, 145))),
    ],
)
def test_the_fewest_bad_cells_of_the_canary_that_reach_100(w, n, k):
    assert log_e(ratio_weights(k, n, w, 1.5)) >= AT_100 > log_e(ratio_weights(k - 1, n, w, 1.5))


def test_ten_pairs_cannot_reach_100():
    assert log_e(ratio_weights(10, 10, 0.5, 1.5)) < AT_100


@pytest.mark.parametrize(("w", "events"), [(0.01, 2), (0.05, 3), (0.1, 3), (0.25, 5), (0.5, 11)])
def test_a_few_bad_cells_are_enough_while_stable_has_none(w, events):
    assert log_e(ratio_weights(events, events, w, 1.5)) >= AT_100 > log_e(ratio_weights(events - 1, events - 1, w, 1.5))


def fewest(n, w, ratio, least):
    return next((k for k in range(n + 1) if log_e(ratio_weights(k, n, w, ratio)) >= least), n + 1)


def rollback_probability(w, ratio, truth, alpha, events=300):
    """The exact probability that E reaches 1/alpha at any of the first bad events, of which each is the canary's by chance."""
    part = w * truth / (w * truth + 1 - w)
    at = [fewest(n, w, ratio, -math.log(alpha)) for n in range(events + 1)]
    going, rolled_back = [1.0], 0.0
    for n in range(1, events + 1):
        following = [0.0] * (n + 1)
        for k, probability in enumerate(going):
            following[k] += probability * (1 - part)
            following[k + 1] += probability * part
        rolled_back += sum(following[at[n] :])
        going = following[: at[n]] + [0.0] * (n + 1 - at[n])
    return rolled_back


@pytest.mark.parametrize("w", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_a_version_as_bad_as_tolerated_is_taken_back_with_alpha_at_most(w, ratio):
    assert rollback_probability(w, ratio, truth=ratio, alpha=0.01) <= 0.01


@pytest.mark.parametrize(
    ("w", "truth", "expected"), [(0.1, 1, 0.0012), (0.5, 1, 0.0006), (0.1, 1.5, 0.0067), (0.5, 1.5, 0.0079), (0.1, 3, 0.92)]
)
def test_the_probability_of_a_rollback_is_the_specified_one(w, truth, expected):
    assert rollback_probability(w, 1.5, truth, alpha=0.01) == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
@pytest.mark.parametrize(("canary", "others", "bad"), [(10, 90, 30), (10, 10, 15), (3, 200, 40), (1, 1, 1), (30, 10, 20)])
def test_a_window_whose_cells_run_out_gains_nothing_while_the_odds_are_tolerated(ratio, canary, others, bad):
    """In a window the bad cells are drawn without replacement: Fisher's noncentral hypergeometric distribution."""
    counts = range(max(0, bad - others), min(bad, canary) + 1)
    chances = [math.comb(canary, k) * math.comb(others, bad - k) * ratio**k for k in counts]
    e_values = [math.exp(log_e(ratio_weights(k, bad, canary / (canary + others), ratio))) for k in counts]
    assert sum(chance * e for chance, e in zip(chances, e_values, strict=True)) / sum(chances) <= 1 + 1e-9


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.0001, 0.9999), st.floats(1, 5))
def test_windows_of_one_weight_add_up_to_one_window(k, more, w, ratio):
    n = k + more
    parts = added(ratio_weights(k, k, w, ratio), ratio_weights(0, more, w, ratio))
    assert parts == pytest.approx(ratio_weights(k, n, w, ratio), abs=1e-6)


@pytest.mark.parametrize(
    ("k", "n", "w"), [(0, 0, 0.1), (5, 5, 1.0), (0, 5, 0.0)], ids=["none bad", "canary alone", "no canary"]
)
def test_a_window_without_a_comparison_teaches_nothing(k, n, w):
    assert ratio_weights(k, n, w, 1.5) == ZEROS


def test_before_anything_is_known_e_is_1():
    assert log_e(ZEROS) == 0
    assert combined_log_e(ZEROS, ZEROS, ZEROS) == pytest.approx(0, abs=1e-12)


def test_a_rate_is_weighed_against_each_multiple():
    expected = [2 * math.log(times) + 8 * math.log((1 - 0.001 * times) / 0.999) for times in GRID[:-1]]
    assert rate_weights(2, 10, 0.001) == pytest.approx([*expected, -math.inf])


def test_events_in_every_trial_speak_for_always():
    assert rate_weights(3, 3, 0.01)[-2:] == pytest.approx([3 * math.log(100)] * 2)


@pytest.mark.parametrize(
    ("k", "n", "most", "expected"),
    [(0, 0, 0.01, 0.0), (5, 5, 1.0, 0.0), (0, 5, 0.0, 0.0), (1, 5, 0.0, math.inf)],
    ids=["no trial", "everything is tolerated", "no event", "an event where none is tolerated"],
)
def test_a_rate_that_needs_no_weighing(k, n, most, expected):
    assert rate_weights(k, n, most) == [expected] * POINTS
    assert log_e(rate_weights(k, n, most)) == expected


@pytest.mark.parametrize(("truth", "pairs"), [(0.03, 617), (0.05, 171), (0.1, 46)])
def test_disagreement_over_1_percent_is_found_after_about_as_many_pairs_as_specified(truth, pairs):
    """The exact median, when nothing else speaks against the canary."""
    going, n, enough = [1.0], 0, 1
    while sum(going) > 0.5:
        n += 1
        while combined_log_e(ZEROS, ZEROS, rate_weights(enough, n, 0.01)) < AT_100:
            enough += 1
        following = [stay * (1 - truth) + rise * truth for stay, rise in zip([*going, 0.0], [0.0, *going], strict=True)]
        going = following[:enough]
    assert n == pytest.approx(pairs, rel=0.2)


def test_sums_stay_finite_so_that_they_can_be_written_as_json():
    assert added(added(ZEROS, [-math.inf] * POINTS), [-math.inf] * POINTS) == [LEAST] * POINTS
    assert added(ZEROS, [math.inf] * POINTS) == [-LEAST] * POINTS
    assert math.isfinite(log_e([LEAST] * POINTS))
    assert log_e([LEAST] * 7 + [math.log(8)]) == pytest.approx(0, abs=1e-12)


def test_huge_evidence_does_not_overflow():
    assert log_e([100_000.0] * POINTS) == pytest.approx(100_000)
    assert log_e([-math.inf] * POINTS) == -math.inf


@given(*[st.lists(st.floats(-50, 50), min_size=POINTS, max_size=POINTS)] * 3)
def test_metrics_are_averaged(error, slow, disagree):
    error_e, slow_e, disagree_e = (sum(map(math.exp, weights)) / POINTS for weights in (error, slow, disagree))
    assert combined_log_e(error, slow, disagree) == pytest.approx(
        math.log(error_e / 2 + slow_e / 4 + disagree_e / 4), rel=1e-9, abs=1e-9
    )


def test_the_bounds_of_all_decisions_together_are_alpha():
    alpha, workers = 0.01, 7
    assert math.exp(-rollback_at(alpha)) + workers * math.exp(-alone_at(alpha, workers)) == pytest.approx(alpha)
    assert pytest.approx(math.log(1 / 0.0099)) == rollback_at(alpha)
    assert pytest.approx(math.log(10)) == SUSPICIOUS
