"""A worker's windows count cells, weigh each window when it is over, and say which faults are checked."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rollout.evidence.eprocess import combined_log_e, log_e, rate_weights, ratio_weights, rollback_at
from gateway.rollout.evidence.slowness import Slowness
from gateway.rollout.evidence.totals import POINTS, Totals
from gateway.rollout.evidence.windows import Windows
from gateway.rollout.plan import Arm, Step
from tests.gateway.rollout.evidence.plans import a_plan

STABLE, BASELINE, CANARY = Arm.STABLE, Arm.BASELINE, Arm.CANARY
ZEROS = [0.0] * POINTS


class Clock:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return self.s

    def pass_s(self, seconds):
        self.s += seconds


class Watched(Windows):
    """Windows with a scripted clock."""

    def __init__(self, clock=None, **values):
        self.clock = clock or Clock()
        super().__init__(1.5, 2.0, 0.01, self.clock, **values)

    def window(self):
        self.clock.pass_s(10)
        self.turn()

    def answers(self, arm, n, backend_s=0.01, apart_s=0.0):
        for _ in range(n):
            self.clock.pass_s(apart_s)
            self.answered(arm, None, backend_s)


def test_each_request_without_a_bucket_is_a_cell():
    windows = Watched()
    windows.answers(CANARY, 3)
    windows.answers(BASELINE, 2)
    windows.answers(STABLE, 5)
    counted = windows.totals()
    assert (counted.canary_cells, counted.baseline_cells, counted.stable_cells) == (3, 2, 5)
    assert (counted.canary_requests, counted.baseline_requests, counted.stable_requests) == (3, 2, 5)


def test_a_request_is_routed_before_its_outcome_and_is_no_cell_yet():
    windows = Watched()
    for arm in (CANARY, BASELINE, STABLE, STABLE):
        windows.routed(arm, None)
    counted = windows.totals()
    assert (counted.canary_routed, counted.other_routed, counted.canary_cells, counted.stable_requests) == (1, 3, 0, 0)


def test_a_caller_is_one_cell_in_a_window_and_bad_once_however_often_it_asks():
    windows = Watched()
    for _ in range(1000):
        windows.failed(CANARY, 7)
    windows.answered(CANARY, 8, 0.01)
    counted = windows.totals()
    assert (counted.canary_requests, counted.canary_cells, counted.canary_errors) == (1001, 2, 1)
    windows.window()
    windows.failed(CANARY, 7)
    counted = windows.totals()
    assert (counted.canary_cells, counted.canary_errors) == (3, 2)


def test_counts_hold_the_open_window_and_weights_do_not():
    windows = Watched()
    windows.answers(STABLE, 27)
    for _ in range(3):
        windows.failed(CANARY, None)
        windows.clock.pass_s(0.1)
    windows.clock.pass_s(9.6)
    assert windows.totals().canary_errors == 3
    assert windows.totals().error == ZEROS
    windows.clock.pass_s(0.1)
    assert windows.totals().error == pytest.approx(ratio_weights(3, 3, 0.1, 1.5))
    assert log_e(windows.totals().error) == pytest.approx(4.787642, abs=1e-6)


def test_the_weight_is_what_the_window_really_had_and_baselines_errors_are_stables():
    windows = Watched()
    windows.answers(STABLE, 10)
    windows.failed(STABLE, None)
    windows.failed(BASELINE, None)
    windows.failed(CANARY, None)
    windows.answers(CANARY, 4)
    windows.window()
    assert windows.totals().error == pytest.approx(ratio_weights(1, 3, 5 / 17, 1.5))
    assert windows.totals().stable_errors == 2


def test_windows_add_up_each_with_its_own_weight():
    windows = Watched()
    for others in (9, 3):
        windows.answers(STABLE, others)
        windows.failed(CANARY, None)
        windows.window()
    parts = ratio_weights(1, 1, 0.1, 1.5), ratio_weights(1, 1, 0.25, 1.5)
    assert windows.totals().error == pytest.approx([sum(both) for both in zip(*parts, strict=True)])


def test_a_window_in_which_only_the_canary_was_asked_teaches_nothing():
    windows = Watched()
    for _ in range(50):
        windows.failed(CANARY, None)
    windows.window()
    assert windows.totals().error == ZEROS


def test_inputs_that_fail_on_both_versions_speak_against_neither():
    windows = Watched()
    windows.answers(STABLE, 90)
    for _ in range(500):
        windows.both_failed(CANARY, None)
    windows.window()
    counted = windows.totals()
    assert (counted.canary_requests, counted.canary_cells, counted.canary_errors) == (500, 500, 0)
    assert counted.error == ZEROS


def test_pairs_are_weighed_as_a_rate():
    windows = Watched()
    for differs in (True, False, False):
        windows.pair(differs)
    assert (windows.totals().pairs, windows.totals().disagreements) == (3, 1)
    windows.window()
    expected = rate_weights(1, 3, 0.01)
    assert windows.totals().disagree[:6] == pytest.approx(expected[:6])
    assert all(map(math.isfinite, windows.totals().disagree))
    assert log_e(windows.totals().disagree) == pytest.approx(log_e(expected))


def test_an_input_that_differs_is_one_trial_however_often_it_is_sent():
    windows = Watched()
    for _ in range(5):
        for _ in range(30):
            windows.pair(True, 7)
        windows.window()
    counted = windows.totals()
    assert (counted.pairs, counted.disagreements) == (5, 5)
    assert counted.disagree[:6] == pytest.approx(rate_weights(1, 1, 0.01)[:6])
    assert combined_log_e(counted.error, counted.slow, counted.disagree) < math.log(10)
    after = Watched(windows.clock, before=windows)
    after.pair(True, 7)
    after.window()
    assert after.totals().disagree == ZEROS


def test_the_first_comparison_of_a_cell_decides_it():
    windows = Watched()
    for differs, bucket in ((False, 1), (True, 1), (True, 2), (False, 2)):
        windows.pair(differs, bucket)
    assert (windows.totals().pairs, windows.totals().disagreements) == (2, 1)


def test_of_many_inputs_that_differ_each_is_a_trial():
    windows = Watched()
    for bucket in range(4):
        windows.pair(True, bucket)
    windows.window()
    sums = windows.totals()
    assert combined_log_e(sums.error, sums.slow, sums.disagree) >= rollback_at(0.01)


def with_a_limit(**values):
    """Windows after one in which stable's answers took 1 to 100 ms."""
    windows = Watched(**values)
    for ms in range(1, 101):
        windows.answered((STABLE, BASELINE)[ms % 2], None, ms / 1000)
    windows.answers(CANARY, 50, 10.0)
    windows.window()
    return windows


def test_nothing_is_timed_before_stables_times_are_known():
    windows = Watched()
    windows.answers(BASELINE, 19, apart_s=0.1)
    windows.answers(CANARY, 30, 5.0, apart_s=0.1)
    windows.window()
    windows.answers(CANARY, 10, 5.0, apart_s=0.1)
    assert windows.totals().canary_timed == 0


def test_slow_is_over_stables_95th_percentile_of_the_window_before():
    windows = with_a_limit()
    for backend_s in (0.094, 0.095, 0.0951, 3.0):
        windows.answers(CANARY, 1, backend_s, apart_s=0.1)
        windows.answers(BASELINE, 2, 0.05, apart_s=0.1)
    windows.answers(BASELINE, 2, 0.2, apart_s=0.1)
    windows.answers(STABLE, 50, 9.0)
    counted = windows.totals()
    assert (counted.canary_timed, counted.canary_slow, counted.baseline_timed, counted.baseline_slow) == (4, 2, 10, 2)
    windows.window()
    assert windows.totals().slow == pytest.approx(ratio_weights(2, 4, 4 / 14, 2.0))
    assert windows.totals().error == ZEROS


def test_the_limit_is_kept_while_too_few_answers_come():
    windows = with_a_limit()
    windows.answers(STABLE, 19, 7.0)
    windows.window()
    windows.answers(CANARY, 1, 0.2)
    assert windows.totals().canary_slow == 1


def test_little_traffic_has_a_limit_after_some_windows():
    windows = Watched()
    for _ in range(7):
        windows.answers(BASELINE, 3, 0.01, apart_s=0.1)
        windows.window()
    windows.answers(CANARY, 1, 5.0)
    assert (windows.totals().canary_timed, windows.totals().canary_slow) == (1, 1)


@pytest.mark.parametrize(("weight", "timed"), [(500_000, 5), (510_000, 0), (900_000, 0)])
def test_over_half_of_the_weight_the_canary_has_no_baseline_of_its_size_and_nothing_is_timed(weight, timed):
    clock = Clock()
    windows = Windows.of(a_plan(steps=(Step(weight, 600),), weight=weight), clock)
    for answers in range(25):
        windows.answered(BASELINE, None, 0.01)
        clock.pass_s(0.5 if answers < 20 else 0.1)
    for arm in [CANARY] * 5:
        windows.answered(arm, None, 3.0)
        clock.pass_s(0.1)
    assert (windows.usual_s, windows.totals().canary_timed) == (0.01, timed)


def test_answers_that_came_at_once_are_one_proof():
    windows = with_a_limit()
    windows.answers(CANARY, 30, 3.0)
    windows.answers(CANARY, 2, 3.0, apart_s=0.06)
    assert (windows.totals().canary_timed, windows.totals().canary_slow) == (3, 3)
    assert windows.totals().canary_cells == 82


def test_a_callers_first_answer_says_whether_its_cell_is_slow():
    """Otherwise nearly every cell of a busy caller would be slow, on both arms."""
    windows = with_a_limit()
    for backend_s in (0.01, 3.0, 3.0):
        windows.clock.pass_s(0.1)
        windows.answered(CANARY, 5, backend_s)
    assert (windows.totals().canary_timed, windows.totals().canary_slow) == (1, 0)


def test_a_caller_that_is_always_slow_is_weighed_once():
    windows = with_a_limit()
    for window in range(30):
        for bucket in range(8):
            windows.clock.pass_s(0.1)
            windows.answered(CANARY if bucket < 4 else BASELINE, bucket, 3.0 if bucket == 0 else 0.01)
        windows.window()
        assert windows.totals().canary_slow == window + 1
        assert windows.totals().slow == pytest.approx(ratio_weights(1, 1, 0.5, 2.0))


@pytest.mark.parametrize(("is_paired", "windows_weighed"), [(True, 5), (False, 1)], ids=["second opinion", "no second opinion"])
def test_a_caller_whose_requests_always_fail_is_weighed_again_only_with_a_second_opinion(is_paired, windows_weighed):
    windows = Watched(is_paired=is_paired)
    for _ in range(5):
        windows.failed(CANARY, 0)
        windows.answered(STABLE, 1, 0.01)
        windows.window()
    assert windows.totals().canary_errors == 5
    assert windows.totals().error == pytest.approx([windows_weighed * one for one in ratio_weights(1, 1, 0.5, 1.5)])


def test_the_next_step_knows_stables_times_and_which_callers_are_slow():
    before = with_a_limit()
    before.answered(CANARY, 1, 3.0)
    before.answered(BASELINE, 2, 0.01)
    before.window()
    after = Watched(before.clock, before=before)
    for bucket, arm in ((1, CANARY), (3, CANARY), (2, BASELINE)):
        after.clock.pass_s(0.1)
        after.answered(arm, bucket, 3.0 if arm is CANARY else 0.01)
    after.window()
    assert after.totals().canary_slow == 2
    assert after.totals().slow == pytest.approx(ratio_weights(1, 1, 0.5, 2.0))
    assert after.totals().canary_requests == 2


def test_a_sticky_rollout_weighs_only_callers():
    windows = Watched(is_sticky=True)
    windows.answers(STABLE, 100)
    windows.failed(STABLE, None)
    windows.answered(STABLE, 1, 0.01)
    counted = windows.totals()
    assert (counted.stable_requests, counted.stable_cells, counted.stable_errors) == (102, 1, 0)


def test_callers_are_counted_once_in_a_step():
    windows = Watched()
    for _ in range(3):
        for bucket in range(50):
            windows.routed(CANARY if bucket < 5 else STABLE, bucket)
        windows.window()
    counted = windows.totals()
    assert (counted.canary_callers, counted.other_callers, counted.workers) == (5, 45, 1)


def test_of_very_many_callers_the_first_are_counted():
    windows = Watched()
    for bucket in range(10_000):
        windows.routed(CANARY if bucket % 4 == 0 else STABLE, bucket)
    assert (windows.totals().canary_callers, windows.totals().other_callers) == (512, 1536)


def faults(windows, checked, unchecked):
    windows.answers(STABLE, 100)
    for _ in range(checked):
        windows.failed(CANARY, None)
    for _ in range(unchecked):
        windows.unchecked(CANARY, None)
    windows.window()


@pytest.mark.parametrize(("checked", "unchecked", "left_out"), [(19, 1, 0), (18, 1, 1), (0, 1, 1), (20, 0, 0)])
def test_a_window_with_many_unchecked_faults_is_left_out(checked, unchecked, left_out):
    windows = Watched()
    faults(windows, checked, unchecked)
    counted = windows.totals()
    assert (counted.left_out, counted.unchecked, counted.canary_errors) == (left_out, unchecked, checked)
    assert (counted.error == ZEROS) == bool(left_out)


def test_the_canarys_unchecked_faults_are_known_apart():
    windows = Watched()
    for arm in (STABLE, STABLE, BASELINE, CANARY):
        windows.unchecked(arm, None)
    assert (windows.totals().unchecked, windows.totals().canary_unchecked) == (4, 1)


def test_fewer_faults_are_checked_after_a_window_that_was_left_out_and_more_again_after_a_good_one():
    windows = Watched()
    shares = []
    for unchecked in (5, 5, 1, 0, 0, 0):
        faults(windows, 19, unchecked)
        shares.append(windows.checked_share)
    assert shares == [0.5, 0.25, 0.25, 0.5, 1.0, 1.0]


def test_the_sample_of_checked_faults_has_the_share():
    windows = Watched()
    assert windows.is_checked(0.999)
    faults(windows, 0, 9)
    assert windows.is_checked(0.499)
    assert not windows.is_checked(0.5)


def test_a_request_outside_of_the_sample_is_no_cell_of_errors_but_timed():
    windows = with_a_limit()
    windows.skipped(CANARY, 3, 3.0)
    windows.skipped(STABLE, None)
    counted = windows.totals()
    assert (counted.canary_requests, counted.canary_cells, counted.canary_timed, counted.canary_slow) == (51, 50, 1, 1)


def test_the_plan_says_how_its_windows_count():
    clock = Clock()
    windows = Windows.of(a_plan(mode="key", error_ratio=3.0), clock)
    windows.answered(STABLE, None, 0.01)
    windows.answered(STABLE, 1, 0.01)
    windows.failed(CANARY, 2)
    clock.pass_s(10)
    assert windows.totals().stable_cells == 1
    assert windows.totals().error == pytest.approx(ratio_weights(1, 1, 0.5, 3.0))


def test_totals_are_a_copy():
    windows = Watched()
    before = windows.totals()
    windows.failed(CANARY, None)
    windows.answers(STABLE, 1)
    windows.window()
    windows.totals().error[0] = 99.0
    assert before == Totals()
    assert windows.totals().error[0] == pytest.approx(ratio_weights(1, 1, 0.5, 1.5)[0])


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["answered", "failed", "both_failed", "unchecked", "skipped"]),
        st.sampled_from(list(Arm)),
        st.one_of(st.none(), st.integers(0, 5)),
        st.floats(0, 4),
    ),
    max_size=60,
)


def play(windows, calls):
    for name, arm, bucket, wait_s in calls:
        windows.clock.pass_s(wait_s)
        getattr(windows, name)(arm, bucket)
        yield windows.totals()


@settings(max_examples=60)
@given(CALLS)
def test_counts_only_grow(calls):
    last = Totals()
    for counted in play(Watched(), calls):
        for name in Totals.__struct_fields__:
            if isinstance(getattr(counted, name), int):
                assert getattr(counted, name) >= getattr(last, name)
        last = counted


@settings(max_examples=60)
@given(CALLS, CALLS, CALLS)
def test_the_sums_of_workers_add_up_in_any_order(first, second, third):
    one, two, three = ([Totals(), *play(Watched(), calls)][-1] for calls in (first, second, third))
    assert (one + two).canary_errors == one.canary_errors + two.canary_errors
    left, right = (one + two) + three, three + (two + one)
    for name in Totals.__struct_fields__:
        assert getattr(left, name) == pytest.approx(getattr(right, name))
    assert one + Totals() == one


def test_of_very_many_answers_the_times_are_thinned_out():
    slowness = Slowness()
    for number in range(100_000):
        slowness.add(number / 100_000)
    slowness.turn()
    assert slowness.limit_s == pytest.approx(0.95, abs=0.002)


def sticky_rollout(seed, callers=100, always_slow=4, windows_watched=60):
    """E at its highest in a rollout of two equal versions, in which some callers are always slow whatever answers them."""
    chance, windows, highest = random.Random(seed), with_a_limit(is_sticky=True), 0.0
    arms = [chance.choices([CANARY, BASELINE, STABLE], [1, 1, 8])[0] for _ in range(callers)]
    for _ in range(windows_watched):
        for bucket, arm in enumerate(arms):
            windows.clock.pass_s(0.06)
            windows.answered(arm, bucket, 3.0 if bucket < always_slow else chance.uniform(0.01, 0.02))
        windows.window()
        sums = windows.totals()
        highest = max(highest, combined_log_e(sums.error, sums.slow, sums.disagree))
    return highest


def test_callers_that_are_always_slow_take_back_no_equal_version():
    assert sum(sticky_rollout(seed) >= rollback_at(0.01) for seed in range(100)) <= 5  # the 99.9 % bound of alpha = 1 %
