"""Where a request goes: exact at both ends, as many callers as the weight says, and nobody moves back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rollout.plan import WHOLE, Arm
from gateway.rollout.routing import arm_of, bucket, cell_of, position

KEYS = [f"caller {number}" for number in range(10_000)]
PLACES = [bucket("salt", key) for key in KEYS]
WEIGHTS = st.integers(0, WHOLE)
POSITIONS = st.one_of(st.integers(0, 2**64 - 1).map(position), st.sampled_from([0.0, 0.5, math.nextafter(1, 0)]))


def arms(weight: int) -> list[Arm]:
    return [arm_of(position(place), weight) for place in PLACES]


@pytest.mark.parametrize("weight", [100, 10_000, 100_000, 500_000, 900_000])
def test_as_many_callers_get_the_canary_as_the_weight_says(weight):
    expected, spread = len(KEYS) * weight / WHOLE, math.sqrt(len(KEYS) * weight / WHOLE * (1 - weight / WHOLE))
    assert abs(arms(weight).count(Arm.CANARY) - expected) <= 3.3 * spread


@pytest.mark.parametrize("weight", [10_000, 100_000, 500_000])
def test_the_baseline_has_as_many_callers_as_the_canary(weight):
    expected, spread = len(KEYS) * weight / WHOLE, math.sqrt(len(KEYS) * weight / WHOLE * (1 - weight / WHOLE))
    assert abs(arms(weight).count(Arm.BASELINE) - expected) <= 3.3 * spread


def test_a_caller_of_the_canary_never_leaves_it_while_the_weight_rises():
    before = set()
    for weight in (100, 100_000, 250_000, 500_000, 999_900, WHOLE):
        now = {key for key, arm in zip(KEYS, arms(weight), strict=True) if arm is Arm.CANARY}
        assert before <= now
        before = now


@given(POSITIONS)
def test_no_weight_sends_nobody_and_the_whole_sends_everybody(place):
    assert arm_of(place, 0) is Arm.STABLE
    assert arm_of(place, WHOLE) is Arm.CANARY


@given(POSITIONS, WEIGHTS, WEIGHTS)
def test_more_weight_moves_nobody_back(place, one, two):
    if arm_of(place, min(one, two)) is Arm.CANARY:
        assert arm_of(place, max(one, two)) is Arm.CANARY


@given(POSITIONS, st.integers(WHOLE // 2, WHOLE))
def test_from_a_half_on_the_baseline_is_all_that_the_canary_leaves(place, weight):
    assert arm_of(place, weight) is not Arm.STABLE


def test_another_rollout_chooses_other_callers():
    one = {key for key in KEYS if arm_of(position(bucket("one", key)), 100_000) is Arm.CANARY}
    two = {key for key in KEYS if arm_of(position(bucket("two", key)), 100_000) is Arm.CANARY}
    assert len(one & two) < 200


def test_the_place_of_a_caller_is_the_same_in_every_process_and_host():
    assert bucket("0123456789abcdef", "ada") == 0xA035CE4C362FD855  # b2sum


def test_a_key_that_is_no_unicode_has_a_place():
    assert 0 <= bucket("salt", "\udcff") < 2**64


def test_callers_share_cells_evenly_and_apart_from_their_arm():
    cells = [cell_of(place) for place, arm in zip(PLACES, arms(100_000), strict=True) if arm is Arm.CANARY]
    assert max(cells) < 65_536
    assert len(set(cells)) > 0.97 * len(cells)
