"""Simulated rollouts: our rule keeps its bound where thresholds take back equal versions, and finds a version that is worse."""

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.rollouts.rules import RULES
from benchmarks.rollouts.simulate import EQUAL, WORSE, outcomes
from benchmarks.rollouts.traffic import Truth

OURS, ARGO_0, ARGO_3, FLAGGER = RULES
ROLLOUTS, LOOKS, SEED = 300, 60, 13


def simulated(truth):
    return outcomes(truth, ROLLOUTS, LOOKS, SEED)


@pytest.mark.parametrize("truth", EQUAL, ids=lambda truth: f"{truth.error_rate:.1%} of {truth.canary_requests}")
def test_of_300_equal_versions_at_most_9_are_taken_back(truth):
    """9 is the 99.9 % bound of alpha = 1 %."""
    assert simulated(truth)[OURS].share * ROLLOUTS <= 9


@pytest.mark.parametrize(
    ("rule", "truth", "expected"),
    [
        (ARGO_0, Truth(0.01, 20), 0.64),
        (ARGO_3, Truth(0.01, 20), 0.019),
        (FLAGGER, Truth(0.005, 20), 0.69),
        (FLAGGER, Truth(0.005, 200), 0.53),
    ],
    ids=["Argo, failureLimit 0", "Argo, failureLimit 3", "Flagger, 20 a look", "Flagger, 200 a look"],
)
def test_thresholds_take_back_as_many_equal_versions_as_computed(rule, truth, expected):
    assert simulated(truth)[rule].share == pytest.approx(expected, abs=0.09)


@pytest.mark.parametrize("truth", WORSE, ids=lambda truth: f"{truth.ratio:g} times")
def test_a_version_that_is_worse_is_found(truth):
    assert simulated(truth)[OURS].share >= 0.99


def test_ten_times_the_errors_are_found_within_a_few_thousand_requests():
    assert simulated(Truth(0.01, 20, 10.0))[OURS].requests <= 2000


def test_the_command_prints_every_rule_twice():
    result = CliRunner().invoke(cli, ["rollouts", "simulate", "--rollouts", "5", "--looks", "4"])
    assert result.exit_code == 0, result.output
    assert all(result.output.count(name) == 2 for name in RULES)
