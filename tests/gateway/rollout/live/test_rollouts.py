"""The snapshot of the open plans, and the sums that this worker keeps until the database has them."""

import pytest

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.plan import Arm, State
from gateway.telemetry import metrics
from tests.gateway.rollout.live.scene import metric, plan


def count(rollouts: Rollouts, times: int = 1) -> None:
    for _ in range(times):
        rollouts.of("m").windows.answered(Arm.CANARY, None, 0.01)


def test_a_model_without_an_open_plan_has_none():
    rollouts = Rollouts()
    rollouts.use([plan()])
    assert rollouts.of("other") is None
    rollouts.use([])
    assert rollouts.of("m") is None


def test_it_says_which_revision_requests_follow():
    rollouts = Rollouts()
    rollouts.use([plan(revision=7), plan(id="n-3-abcd", model="n", stable=None, state=State.DRAFT)])
    assert rollouts.seen == {"m-2-abcd": 7, "n-3-abcd": 1}


def test_another_revision_of_a_step_goes_on_counting():
    rollouts = Rollouts()
    rollouts.use([plan()])
    count(rollouts, 3)
    rollouts.use([plan(revision=2, state=State.PAUSED)])
    count(rollouts, 2)
    assert rollouts.report()["m-2-abcd", 0].canary_requests == 5


def test_another_step_begins_at_zero_and_the_sums_of_the_last_stay():
    rollouts = Rollouts()
    rollouts.use([plan()])
    count(rollouts, 3)
    rollouts.use([plan(step=1, weight=250_000)])
    count(rollouts)
    assert {step: totals.canary_requests for (_, step), totals in rollouts.report().items()} == {0: 3, 1: 1}
    rollouts.note_written(rollouts.report())
    assert len(rollouts.report()) == 2  # a decision without the database looks at all steps


def test_a_step_that_begins_again_keeps_what_was_counted_in_it():
    """A database that has lost what was written last sends a plan back."""
    rollouts = Rollouts()
    sums = []
    exposed = metric("gateway_rollout_exposed_total", arm="canary")
    for step, times in ((0, 3), (1, 2), (0, 1), (1, 4), (0, 1)):
        rollouts.use([plan(step=step)])
        count(rollouts, times)
        sums.append({number: totals.canary_requests for (_, number), totals in rollouts.report().items()})
        rollouts.note_written(rollouts.report())
    assert sums == [{0: 3}, {0: 3, 1: 2}, {0: 4, 1: 2}, {0: 4, 1: 6}, {0: 5, 1: 6}]
    assert metric("gateway_rollout_exposed_total", arm="canary") == exposed + 11
    rollouts.use([])
    rollouts.note_written(rollouts.report())
    assert rollouts.report() == {}


def test_the_evidence_of_a_step_that_begins_again_is_added_to_that_from_before():
    now = 0.0
    rollouts = Rollouts(now=lambda: now)
    weights = []
    for _ in range(2):
        rollouts.use([plan()])
        for _ in range(9):
            rollouts.of("m").windows.answered(Arm.STABLE, None)
        rollouts.of("m").windows.failed(Arm.CANARY, None)
        now += 11
        weights.append(rollouts.report()["m-2-abcd", 0].error)
        rollouts.use([plan(step=1)])
    assert weights[0] != Totals().error
    assert weights[1] == pytest.approx([2 * weight for weight in weights[0]])


def test_metrics_that_cannot_be_shown_do_not_keep_the_sums_from_being_told(monkeypatch):
    rollouts = Rollouts()
    rollouts.use([plan()])
    count(rollouts)
    monkeypatch.setattr(metrics, "ROLLOUT_EXPOSED", None)
    assert rollouts.report()["m-2-abcd", 0].canary_requests == 1


def test_what_is_slow_is_known_from_the_step_before():
    now = 0.0
    rollouts = Rollouts(now=lambda: now)
    rollouts.use([plan()])
    for _ in range(20):
        rollouts.of("m").windows.answered(Arm.BASELINE, None, 0.01)
    now = 11.0
    rollouts.report()
    rollouts.use([plan(step=1, weight=250_000)])
    count(rollouts)
    assert rollouts.report()["m-2-abcd", 1].canary_timed == 1


def test_the_open_window_of_a_step_that_is_over_is_never_weighed():
    now = 0.0
    rollouts = Rollouts(now=lambda: now)
    rollouts.use([plan()])
    for _ in range(9):
        rollouts.of("m").windows.answered(Arm.STABLE, None)
    rollouts.of("m").windows.failed(Arm.CANARY, None)
    rollouts.use([plan(step=1)])
    now = 100.0
    first = rollouts.report()["m-2-abcd", 0]
    assert (first.canary_errors, first.error) == (1, Totals().error)


def test_the_sums_of_a_closed_plan_are_kept_until_they_are_written_as_they_are():
    rollouts = Rollouts()
    rollouts.use([plan()])
    early = rollouts.report()
    count(rollouts)
    rollouts.use([])
    rollouts.note_written(early)
    late = rollouts.report()
    assert late["m-2-abcd", 0].canary_requests == 1
    rollouts.note_written(late)
    assert rollouts.report() == {}


def test_what_was_exposed_and_bad_is_in_the_metrics_once():
    rollouts = Rollouts()
    rollouts.use([plan()])
    exposed = metric("gateway_rollout_exposed_total", arm="canary")
    bad = metric("gateway_rollout_bad_total", arm="canary", metric="error")
    count(rollouts, 2)
    rollouts.of("m").windows.failed(Arm.CANARY, None)
    for _ in range(3):
        rollouts.report()
    assert metric("gateway_rollout_exposed_total", arm="canary") == exposed + 3
    assert metric("gateway_rollout_bad_total", arm="canary", metric="error") == bad + 1


def test_the_counters_of_a_rollout_begin_at_zero():
    rollouts = Rollouts()
    rollouts.use([plan(id="new-2-abcd", model="new")])
    for name, labels in {
        "gateway_rollout_exposed_total": {"arm": "baseline"},
        "gateway_rollout_bad_total": {"arm": "canary", "metric": "disagree"},
        "gateway_rollout_shadow_total": {"result": "different"},
        "gateway_rollout_second_opinions_total": {"result": "unchecked"},
    }.items():
        assert metric(name, model="new", **labels) == 0


def test_samples_are_taken_once():
    rollouts = Rollouts()
    rollouts.use([plan()])
    rollouts.keep_sample("m-2-abcd", {"output": "x"})
    assert rollouts.take_samples() == [("m-2-abcd", {"output": "x"})]
    assert rollouts.take_samples() == []
