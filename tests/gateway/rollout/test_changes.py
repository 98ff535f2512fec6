"""How a draft becomes a rollout."""

from gateway.rollout.changes import accepted, change, kept, loaded, refused, waits, warmed
from gateway.rollout.plan import GATEWAY, Hold, State
from tests.gateway.rollout.plans import NOW, SECOND, plan


def test_a_draft_is_loaded_warmed_and_gets_its_first_callers():
    draft = plan(State.DRAFT, stable=None)
    loading, _ = accepted(draft, {"stable": 2}, NOW + SECOND)
    warming, _ = loaded(loading, NOW + 2 * SECOND)
    running, event = warmed(warming, NOW + 3 * SECOND, "20 requests of the prediction log")
    assert [one.state for one in (loading, warming, running)] == [State.LOADING, State.WARMING, State.RUNNING]
    assert [one.canary_weight for one in (loading, warming, running)] == [0, 0, 10_000]
    assert (loading.stable, loading.versions) == (2, (2, 3))
    assert (running.revision, running.step_us, running.state_us) == (4, NOW + 3 * SECOND, NOW + 3 * SECOND)
    assert (event.before, event.after, event.by, event.what) == ("warming", "running", GATEWAY, "run")
    assert event.reason == "20 requests of the prediction log"


def test_a_row_of_the_history_belongs_to_the_plan_and_its_revision():
    after, event = accepted(plan(State.DRAFT), {"stable": 2}, NOW + SECOND)
    assert (event.plan, event.model, event.revision, event.ts_us) == (after.id, "digits", after.revision, NOW + SECOND)


def test_a_refused_rollout_says_nothing_about_requests():
    after, event = refused(plan(State.LOADING), "no such version", NOW)
    assert (after.state, after.is_open, after.is_ended, after.canary_weight) == (State.REFUSED, False, True, 0)
    assert (after.reason, event.reason) == ("no such version", "no such version")


def test_a_refused_rollout_still_pins_what_was_pinned_before_it():
    after, _ = refused(plan(State.DRAFT, stays_open=True), "no such version", NOW)
    assert (after.is_open, after.kept) == (True, 2)


def test_a_plan_that_waits_says_why():
    after, event = waits(plan(State.LOADING), "the file cannot be written", NOW + SECOND)
    assert (after.state, after.reason, event.what) == (State.LOADING, "the file cannot be written", "wait")
    assert after.state_us == NOW


def test_a_row_tells_why_a_plan_holds():
    _, event = waits(plan(State.HOLDING, hold=Hold.GATE), "", NOW)
    assert event.after == "holding (gate)"


def test_versions_beside_the_two_are_asked_for_and_not_needed():
    keeping, event = kept(plan(State.DRAFT), (1,), NOW)
    assert (event.what, keeping.versions, keeping.needed) == ("keep", (1, 2, 3), (2, 3))
    done, _ = change(keeping, NOW, "done", state=State.DONE, drops_other=True)
    assert (done.versions, done.needed) == ((1, 3), (3,))
