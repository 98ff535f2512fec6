"""Faults of one call are one proof, and a canary that fails often is found as soon as before."""

import random

import pytest

from gateway.rollout.evidence.eprocess import combined_log_e, ratio_weights, rollback_at
from gateway.rollout.evidence.windows import Windows
from gateway.rollout.plan import Arm

STABLE, BASELINE, CANARY = Arm.STABLE, Arm.BASELINE, Arm.CANARY


class World:
    """Windows of a rollout whose canary has a tenth, and a clock that only goes on with ``to``."""

    def __init__(self, **values):
        self.s = 0.0
        self.windows = Windows(1.5, 2.0, 0.01, lambda: self.s, **values)

    def to(self, seconds):
        self.s = seconds
        return self.windows.totals()

    @property
    def log_e(self):
        sums = self.windows.totals()
        return combined_log_e(sums.error, sums.slow, sums.disagree)

    def call(self, arm, requests, fails):
        for _ in range(requests):
            self.windows.failed(arm, None) if fails else self.windows.answered(arm, None)


@pytest.mark.parametrize("requests", [1, 2, 4, 50])
def test_a_failed_call_is_one_bad_cell_however_many_requests_it_has(requests):
    world = World()
    world.call(STABLE, 900, fails=False)
    world.call(CANARY, 100 - requests, fails=False)
    world.call(CANARY, requests, fails=True)
    totals = world.to(10.0)
    assert totals.canary_errors == requests
    assert totals.error == pytest.approx(ratio_weights(1, 1, 0.1, 1.5))
    assert world.log_e < rollback_at(0.01)


def test_callers_of_one_failed_call_are_one_bad_cell_too():
    world = World(is_sticky=True)
    for bucket in range(100):
        world.windows.answered(STABLE if bucket < 90 else CANARY, bucket)
    for bucket in range(90, 98):
        world.windows.failed(CANARY, bucket)
    totals = world.to(10.0)
    assert totals.canary_errors == 8
    assert totals.error == pytest.approx(ratio_weights(1, 1, 0.1, 1.5))


def test_the_baselines_faults_are_thinned_like_the_canarys_and_stables_are_all_weighed():
    world = World()
    for arm, requests in ((STABLE, 80), (BASELINE, 10), (CANARY, 10)):
        world.call(arm, requests, fails=True)
    assert world.to(10.0).error == pytest.approx(ratio_weights(1, 82, 0.1, 1.5))


def test_a_fault_in_the_next_moment_is_another_one():
    world = World()
    world.call(STABLE, 8, fails=False)
    for seconds in (0.0, 0.049, 0.06):
        world.to(seconds)
        world.call(CANARY, 1, fails=True)
    assert world.to(10.0).error == pytest.approx(ratio_weights(2, 2, 3 / 11, 1.5))


def rollout(seed, rate, bad, *, weight=0.1, size=1, most_s=20.0):
    """ln E at its highest. Each call of ``size`` requests fails with the probability that ``bad`` has for its arm."""
    chance, world, highest, seconds, looked = random.Random(seed), World(), 0.0, 0.0, 0
    while seconds < most_s:
        seconds += chance.expovariate(rate / size)
        world.to(seconds)
        arm = chance.choices([CANARY, BASELINE, STABLE], [weight, weight, 1 - 2 * weight])[0]
        world.call(arm, size, chance.random() < bad[arm])
        if int(seconds) > looked:
            highest, looked = max(highest, world.log_e), int(seconds)
    return highest


@pytest.mark.parametrize("others", [0.0, 0.01], ids=["stable never fails", "stable fails 1 %"])
@pytest.mark.parametrize(("rate", "weight"), [(50, 0.1), (200, 0.1), (200, 0.5), (1000, 0.1)])
def test_a_canary_that_fails_30_percent_is_found_in_one_window(rate, weight, others):
    bad = {CANARY: 0.3, BASELINE: others, STABLE: others}
    assert all(rollout(seed, rate, bad, weight=weight, most_s=11.5) >= rollback_at(0.01) for seed in range(5))


def test_calls_that_fail_whole_take_back_no_equal_version():
    bad = dict.fromkeys(Arm, 0.002)
    found = sum(rollout(seed, 50, bad, size=8, most_s=200.0) >= rollback_at(0.01) for seed in range(60))
    assert found <= 4  # the 99.9 % bound of alpha = 1 %
