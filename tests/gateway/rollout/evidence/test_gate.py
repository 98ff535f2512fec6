"""A step up needs data, no suspicion, an even split, and a bound on the error rate; and says in a sentence what is missing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rollout.evidence.eprocess import SUSPICIOUS
from gateway.rollout.evidence.gate import Gate, gate, split_p_value, upper_bound, wilson
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import WHOLE, Hold
from tests.gateway.rollout.evidence.plans import a_plan

GOOD = {
    "canary_cells": 1000,
    "baseline_cells": 1000,
    "stable_cells": 8000,
    "canary_requests": 1000,
    "baseline_requests": 1000,
    "stable_requests": 8000,
    "canary_routed": 1000,
    "other_routed": 9000,
}


def totals(**values) -> Totals:
    return Totals(**GOOD | values)


def test_good_evidence_lets_the_weight_rise():
    assert gate(totals(), 0.0, a_plan()) == Gate(Hold.NONE, "")


@pytest.mark.parametrize(
    ("values", "log_e", "hold", "words"),
    [
        ({"canary_cells": 199}, 0.0, Hold.NO_DATA, "the canary has 199 cells"),
        ({"baseline_cells": 100, "stable_cells": 99}, 0.0, Hold.NO_DATA, "stable has 199 cells"),
        ({}, SUSPICIOUS, Hold.SUSPICIOUS, "E = 10"),
        ({}, 5000.0, Hold.SUSPICIOUS, "less than 10"),
        ({"canary_routed": 700}, 0.0, Hold.SPLIT, "7.22 % of the requests instead of 10 %"),
        ({"canary_routed": 1300}, 0.0, Hold.SPLIT, "12.6 % of the requests instead of 10 %"),
        ({"canary_errors": 60}, 0.0, Hold.SUSPICIOUS, "60 of the canary's 1000 cells have errors"),
        ({"unchecked": 60, "canary_unchecked": 60}, 0.0, Hold.NO_DATA, "60 of the canary's faults could not be asked"),
    ],
    ids=["few canary", "few others", "E is 10", "E is huge", "canary lost", "canary preferred", "errors", "unchecked"],
)
def test_the_gate_holds_and_says_why(values, log_e, hold, words):
    answer = gate(totals(**values), log_e, a_plan())
    assert answer.hold is hold
    assert words in answer.reason


def test_what_is_missing_comes_before_what_is_suspicious():
    assert gate(totals(canary_cells=10, canary_errors=10), 100.0, a_plan()).hold is Hold.NO_DATA
    assert gate(totals(canary_routed=700), 100.0, a_plan()).hold is Hold.SUSPICIOUS


@pytest.mark.parametrize(("most_bad", "needed"), [(0.05, 59), (0.01, 299), (0.005, 598), (0.001, 2995)])
def test_without_errors_the_gate_says_how_many_cells_it_needs(most_bad, needed):
    plan = a_plan(least_cells=20, most_bad=most_bad)
    answer = gate(totals(canary_cells=needed - 1), 0.0, plan)
    assert answer.hold is Hold.NO_DATA
    assert f"it needs {needed}" in answer.reason
    assert gate(totals(canary_cells=needed), 0.0, plan).hold is Hold.NONE


def test_stables_faults_in_an_outage_are_not_the_canarys():
    assert gate(totals(unchecked=2000, canary_unchecked=9), 0.0, a_plan()).hold is Hold.NONE


def test_what_a_cache_has_answered_is_no_uneven_split():
    """Of ten hot inputs each arm asks for as many: stable's other requests are answered by the cache."""
    hot = totals(canary_cells=400, baseline_cells=60, stable_cells=420, canary_requests=400, stable_requests=420)
    assert gate(hot, 0.0, a_plan()).hold is Hold.NONE


def test_a_sticky_rollout_counts_callers_and_not_how_often_they_ask():
    sticky = a_plan(mode="key")
    assert gate(totals(canary_callers=2, other_callers=8, canary_routed=2000), 0.0, sticky).hold is Hold.NONE
    answer = gate(totals(canary_callers=300, other_callers=700), 0.0, sticky)
    assert answer.hold is Hold.SPLIT
    assert "30 % of the callers instead of 10 %" in answer.reason


def test_callers_that_several_workers_have_seen_are_not_more_proof():
    """14 of 100 callers are no surprise, and each of four workers has seen them all."""
    seen = totals(canary_callers=4 * 16, other_callers=4 * 84, workers=4)
    assert gate(seen, 0.0, a_plan(mode="key")).hold is Hold.NONE
    assert split_p_value(4 * 16, 4 * 84, 0.1) < 0.001


def test_before_the_first_caller_the_pairs_of_the_shadow_count():
    plan = a_plan(weight=0, shadow=WHOLE)
    few = gate(Totals(pairs=199), 0.0, plan)
    assert few.hold is Hold.NO_DATA
    assert "199 answers of the shadow" in few.reason
    assert gate(Totals(pairs=200, stable_requests=5000, stable_cells=5000), 0.0, plan).hold is Hold.NONE


@pytest.mark.parametrize(
    ("most", "confidence", "n"),
    [
        *((0.05, 0.95, 59), (0.05, 0.99, 90), (0.01, 0.95, 299), (0.01, 0.99, 459)),
        *((0.005, 0.95, 598), (0.005, 0.99, 919), (0.001, 0.95, 2995)),
    ],
)
def test_so_many_good_cells_rule_a_rate_out(most, confidence, n):
    assert upper_bound(0, n, confidence) <= most < upper_bound(0, n - 1, confidence)


def binomial(n, p):
    """The probabilities of 0..n, by multiplication."""
    row = [1.0]
    for _ in range(n):
        row = [a * (1 - p) + b * p for a, b in zip([*row, 0.0], [0.0, *row], strict=True)]
    return row


@given(st.integers(1, 60), st.data())
def test_at_the_upper_bound_so_few_bad_have_the_probability_that_is_left(n, data):
    bad = data.draw(st.integers(0, n - 1))
    bound = upper_bound(bad, n, 0.95)
    assert sum(binomial(n, bound)[: bad + 1]) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(("bad", "n"), [(0, 0), (5, 5)])
def test_nothing_is_ruled_out(bad, n):
    assert upper_bound(bad, n) == 1.0


@pytest.mark.parametrize(
    ("bad", "n", "expected"),  # Clopper and Pearson's, from the quantiles of the beta distribution in SciPy 1.17
    [
        (1, 60, 0.076639994935),
        (10, 1000, 0.016903175121),
        (50_000, 1_000_000, 0.050359951362),
        (999_999, 1_000_000, 0.999999948707),
    ],
)
def test_the_upper_bound_of_many_cells(bad, n, expected):
    assert upper_bound(bad, n) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("bad", "n", "low", "high"),
    [(0, 100, 0, 0.037), (1, 20, 0.009, 0.236), (0, 299, 0, 0.0127), (20, 20, 0.839, 1), (0, 0, 0, 1)],
)
def test_the_interval_for_display(bad, n, low, high):
    assert wilson(bad, n) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_split_has_twice_the_lesser_tail(canary, others, share):
    n = canary + others
    row = binomial(n, share)
    expected = min(1.0, 2 * min(sum(row[: canary + 1]), sum(row[canary:])))
    assert split_p_value(canary, others, share) == pytest.approx(expected, abs=1e-9)


def test_a_fair_split_is_seldom_called_uneven():
    chance = random.Random(13)
    counts = [sum(chance.random() < 0.1 for _ in range(2000)) for _ in range(500)]
    assert (
        sum(split_p_value(count, 2000 - count, 0.1) < 0.01 for count in counts) <= 13
    )  # 5 are expected; 13 is the 99.9 % bound


@pytest.mark.parametrize(
    ("canary", "others", "share", "expected"), [(0, 0, 0.1, 1), (0, 9, 0, 1), (1, 9, 0, 0), (9, 0, 1, 1), (9, 1, 1, 0)]
)
def test_a_split_that_cannot_be_otherwise(canary, others, share, expected):
    assert split_p_value(canary, others, share) == expected


def test_a_large_split_is_exact_too():
    assert split_p_value(100_000, 900_000, 0.1) == pytest.approx(1.0, abs=2e-3)
    assert split_p_value(101_000, 899_000, 0.1) == pytest.approx(0.00087, rel=0.05)
