"""What evidence and facts make of a plan, in each state."""

import json

import pytest

from gateway.rollout.decision import Facts, FileState, alone, decide, taken_back_alone
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.orders import Order, obey
from gateway.rollout.plan import GATEWAY, SHARING, WHOLE, Hold, OnBad, Plan, State, Step
from tests.gateway.rollout.plans import EDITED, GOOD, MISSING, NOW, SECOND, held, plan, proven, sound, suspicious

BAKED = NOW + 60 * SECOND
TIRED = NOW + 180 * SECOND
HOLDS = [hold for hold in Hold if hold is not Hold.NONE]
OUTER = [Hold.NOT_LOADED, Hold.FROZEN, Hold.FILE_CHANGED]
BY_GATE = [Hold.NO_DATA, Hold.SUSPICIOUS, Hold.SPLIT]
SPLIT = sound(400, 0.3)
ERRORS = sound(400)
ERRORS.canary_errors, ERRORS.stable_errors = 30, 3000


def decided(before: Plan, totals: Totals | None = None, facts: Facts = GOOD, now_us: int = NOW + SECOND) -> Plan | None:
    """The plan after a decision by the sums of its current step; None if there is none."""
    found = decide(before, {before.step: totals} if totals else {}, facts, now_us)
    if found is None:
        return None
    after, event = found
    assert (event.plan, event.revision, event.by, event.ts_us) == (before.id, after.revision, GATEWAY, now_us)
    json.dumps(event.evidence, allow_nan=False)
    return after


@pytest.mark.parametrize("state", [State.DRAFT, State.LOADING, State.WARMING])
@pytest.mark.parametrize("facts", [GOOD, MISSING, EDITED], ids=["good", "missing", "edited"])
def test_what_has_not_begun_is_not_decided_here(state, facts):
    assert decided(plan(state), proven(), facts, TIRED) is None


# The way back


SHARED = [plan(), plan(State.PAUSED), *(held(hold, state) for hold in HOLDS for state in (State.HOLDING, State.PAUSED))]
THAWED = [one for one in SHARED if not one.is_frozen]


def stand(one: Plan) -> str:
    return f"{one.state}-{one.hold}"


@pytest.mark.parametrize("before", THAWED, ids=stand)
@pytest.mark.parametrize("facts", [GOOD, MISSING, EDITED], ids=["good", "missing", "edited"])
def test_proof_takes_the_canary_back_wherever_it_has_callers_or_waits_for_some(before, facts):
    after = decided(before, proven(), facts)
    assert (after.state, after.hold, after.weight, after.canary_weight) == (State.ROLLING_BACK, Hold.NONE, 0, 0)
    assert after.kept == 2
    assert "errors 7 of 9 bad cells on the canary" in after.reason


@pytest.mark.parametrize("before", THAWED, ids=stand)
def test_proof_freezes_a_rollout_that_is_to_be_frozen(before):
    after = decided(Plan.changed(before, NOW, on_bad=OnBad.FREEZE), proven())
    assert (after.state, after.hold, after.is_frozen) == (State.HOLDING, Hold.FROZEN, True)
    assert after.canary_weight == 10_000


def test_a_rollout_that_freezes_sends_nobody_to_a_version_that_is_not_loaded():
    after = decided(held(Hold.NOT_LOADED, on_bad=OnBad.FREEZE), proven(), MISSING)
    assert (after.hold, after.is_frozen, after.canary_weight) == (Hold.NOT_LOADED, True, 0)
    again = decided(after, None, GOOD)
    assert (again.hold, again.canary_weight) == (Hold.FROZEN, 10_000)


@pytest.mark.parametrize("state", [State.HOLDING, State.PAUSED])
def test_a_frozen_rollout_stays_so_whatever_the_evidence_says_later(state):
    for totals in (proven(), sound(), None):
        assert decided(held(Hold.FROZEN, state), totals, GOOD, TIRED) is None


def test_suspicion_is_no_proof():
    assert decided(plan(), suspicious()) is None


def test_the_evidence_of_all_steps_counts():
    before = plan(step=1)
    assert decide(before, {0: suspicious(), 1: suspicious()}, GOOD, NOW)[0].state is State.ROLLING_BACK


def test_a_resumed_rollout_is_not_frozen_by_what_a_person_has_seen():
    frozen = decided(plan(on_bad=OnBad.FREEZE), proven())
    resumed, _ = obey(frozen, Order.RESUME, NOW + SECOND, "ada")
    assert decide(resumed, {0: proven()}, GOOD, NOW + 2 * SECOND) is None
    assert decide(resumed, {0: proven(), 1: proven()}, GOOD, NOW + 2 * SECOND)[0].is_frozen


@pytest.mark.parametrize(
    "state", [State.PROMOTING, State.BAKE_AFTER, State.DONE, State.ROLLED_BACK, State.ABORTED, State.REFUSED]
)
def test_evidence_decides_nothing_after_the_rollout(state):
    after = decided(plan(state), proven(), Facts(is_loaded=True, workers_seen=False))
    assert after is None or after.state is state


# What lies outside of the evidence


@pytest.mark.parametrize("before", [one for one in SHARED if one.hold is not Hold.NOT_LOADED], ids=stand)
def test_nobody_is_sent_to_a_version_that_is_not_loaded(before):
    after = decided(before, sound(), MISSING)
    assert (after.hold, after.canary_weight, after.weight) == (Hold.NOT_LOADED, 0, 10_000)
    assert after.state is (State.PAUSED if before.state is State.PAUSED else State.HOLDING)
    assert after.reason == MISSING.missing
    assert after.is_frozen is before.is_frozen


def test_a_rollout_that_is_not_loaded_stays_so_until_it_is():
    assert decided(held(Hold.NOT_LOADED), sound(), MISSING, TIRED) is None


@pytest.mark.parametrize(("before", "after"), [(State.HOLDING, State.RUNNING), (State.PAUSED, State.PAUSED)])
def test_a_rollout_goes_on_when_its_versions_are_loaded_again_and_bakes_anew(before, after):
    found = decided(held(Hold.NOT_LOADED, before), sound(), GOOD, TIRED)
    assert (found.state, found.hold, found.canary_weight, found.step_us) == (after, Hold.NONE, 10_000, TIRED)
    assert decided(found, sound(), GOOD, TIRED + SECOND) is None


@pytest.mark.parametrize("before", [one for one in SHARED if one.hold not in OUTER], ids=stand)
def test_a_file_that_somebody_else_has_changed_holds_and_keeps_the_weight(before):
    after = decided(before, sound(), EDITED)
    assert (after.hold, after.canary_weight) == (Hold.FILE_CHANGED, 10_000)
    assert "resume" in after.reason


@pytest.mark.parametrize("file", [FileState.CHANGED, FileState.BEHIND, FileState.UNKNOWN])
def test_a_changed_file_holds_until_it_says_again_what_was_written(file):
    assert decided(held(Hold.FILE_CHANGED), sound(), Facts(is_loaded=True, file=file), TIRED) is None
    assert decided(held(Hold.FILE_CHANGED), sound(), GOOD, TIRED).state is State.RUNNING


@pytest.mark.parametrize("file", [FileState.BEHIND, FileState.UNKNOWN])
def test_a_file_that_nobody_has_changed_is_no_reason_to_hold(file):
    assert decided(plan(), sound(), Facts(is_loaded=True, file=file)) is None


def test_a_version_that_went_with_the_file_is_told_with_the_file():
    after = decided(plan(), sound(), Facts(is_loaded=False, missing="version 3 is END", file=FileState.CHANGED))
    assert after.hold is Hold.NOT_LOADED
    assert after.reason.startswith("version 3 is END; somebody else has changed")
    assert decided(after, sound(), EDITED).hold is Hold.FILE_CHANGED


# Steps


def test_nothing_is_stepped_up_before_its_time():
    assert decided(plan(), sound(), GOOD, BAKED - 1) is None


def test_a_sound_canary_gets_the_next_weight_after_the_bake_time():
    after = decided(plan(), sound(), GOOD, BAKED)
    assert (after.state, after.step, after.canary_weight, after.step_us) == (State.RUNNING, 1, 100_000, BAKED)


def test_a_sound_canary_is_promoted_after_the_last_step():
    after = decided(plan(step=2), sound(400, 0.5), GOOD, BAKED)
    assert (after.state, after.canary_weight, after.kept) == (State.PROMOTING, WHOLE, 3)
    assert "errors in 0 of the canary's 400 cells" in after.reason


def test_a_manual_step_waits_for_a_person():
    before = plan(steps=(Step(10_000, 60, True), Step(100_000, 60)))
    after = decided(before, sound(), GOOD, BAKED)
    assert (after.state, after.hold, after.canary_weight) == (State.HOLDING, Hold.GATE, 10_000)
    assert "rollout step digits" in after.reason
    assert decided(after, sound(), GOOD, TIRED) is None
    assert decided(after, None, GOOD, TIRED) is None


@pytest.mark.parametrize("totals", [None, sound(10)], ids=["no-traffic", "too-little"])
def test_too_little_data_holds_after_three_bake_times(totals):
    assert decided(plan(), totals, GOOD, BAKED) is None
    assert decided(plan(), totals, GOOD, TIRED - 1) is None
    after = decided(plan(), totals, GOOD, TIRED)
    assert (after.state, after.hold, after.canary_weight) == (State.HOLDING, Hold.NO_DATA, 10_000)
    assert decided(after, totals, GOOD, TIRED + 3600 * SECOND) is None


def test_a_short_bake_time_waits_a_minute_for_data():
    before = plan(steps=(Step(10_000, 1), Step(100_000, 1)))
    assert decided(before, None, GOOD, NOW + 59 * SECOND) is None
    assert decided(before, None, GOOD, BAKED).hold is Hold.NO_DATA


def test_a_rollout_that_held_for_data_goes_on_when_they_came():
    after = decided(held(Hold.NO_DATA), sound(), GOOD, TIRED)
    assert (after.state, after.hold, after.step) == (State.RUNNING, Hold.NONE, 1)


@pytest.mark.parametrize(
    ("totals", "hold"),
    [(suspicious(), Hold.SUSPICIOUS), (ERRORS, Hold.SUSPICIOUS), (SPLIT, Hold.SPLIT)],
    ids=["evidence", "errors", "split"],
)
@pytest.mark.parametrize("before", [plan(), held(Hold.NO_DATA)], ids=stand)
def test_what_does_not_pass_the_gate_holds(before, totals, hold):
    if totals.error != [0.0] * 8:
        before = plan(before.state, 1, hold=before.hold)
    after = decided(before, totals, GOOD, TIRED)
    assert (after.state, after.hold, after.step) == (State.HOLDING, hold, before.step)
    assert after.reason
    assert decided(after, totals, GOOD, TIRED + SECOND) is None


def test_a_gate_that_was_not_passed_is_asked_again_at_twice_the_cells():
    after = decided(plan(), ERRORS, GOOD, BAKED)
    assert after.next_look == 800
    assert "looked at again at 800" in after.reason
    assert decided(after, sound(799), GOOD, TIRED) is None
    assert decided(after, sound(800), GOOD, TIRED).step == 1


def test_evidence_that_fades_lets_the_canary_go_on_at_once():
    after = decided(plan(step=1), suspicious(), GOOD, BAKED)
    assert (after.hold, after.next_look) == (Hold.SUSPICIOUS, 0)
    assert decided(after, sound(400, 0.1), GOOD, BAKED + SECOND).step == 2


@pytest.mark.parametrize("hold", BY_GATE)
def test_a_paused_rollout_is_not_stepped_up(hold):
    assert decided(plan(State.PAUSED), sound(), GOOD, TIRED) is None
    assert decided(held(hold, State.PAUSED), sound(), GOOD, TIRED) is None


def test_a_step_without_callers_is_decided_by_compared_answers():
    before = plan(steps=(Step(0, 60), Step(10_000, 60)), weight=0, shadow=WHOLE)
    assert decided(before, Totals(pairs=199), GOOD, BAKED) is None
    assert decided(before, Totals(pairs=199), GOOD, TIRED).hold is Hold.NO_DATA
    assert decided(before, Totals(pairs=200), GOOD, BAKED).canary_weight == 10_000


# Afterwards


ENDING = [(State.PROMOTING, State.BAKE_AFTER), (State.ROLLING_BACK, State.ROLLED_BACK)]


@pytest.mark.parametrize(("before", "after"), ENDING)
def test_a_change_is_done_when_every_worker_follows_it(before, after):
    unseen = Facts(is_loaded=True)
    assert decided(plan(before), None, unseen) is None
    assert decided(plan(before, reason="why"), None, GOOD).state is after
    assert decided(plan(before, reason="why"), None, GOOD).reason == "why"
    assert decided(plan(before), None, unseen, NOW + 5 * SECOND).state is after


def test_the_old_version_stays_loaded_for_its_time():
    before = plan(State.BAKE_AFTER, keep_old_s=600)
    assert decided(before, None, GOOD, NOW + 599 * SECOND) is None
    after = decided(before, None, GOOD, NOW + 600 * SECOND)
    assert (after.state, after.drops_other, after.versions, after.canary_weight) == (State.DONE, True, (3,), WHOLE)


def test_the_old_version_stays_while_a_server_does_not_serve_both():
    after = decided(plan(State.BAKE_AFTER, reason="promoted by ada"), None, MISSING, NOW + 900 * SECOND)
    assert (after.state, after.drops_other, after.hold, after.reason) == (
        State.BAKE_AFTER,
        False,
        Hold.NOT_LOADED,
        MISSING.missing,
    )
    assert decided(after, None, MISSING, NOW + 901 * SECOND) is None
    again = decided(after, None, GOOD, NOW + 902 * SECOND)
    assert (again.state, again.hold, again.reason) == (State.BAKE_AFTER, Hold.NONE, "")
    assert decided(again, None, GOOD, NOW + 903 * SECOND).state is State.DONE


def test_a_person_may_let_the_old_version_go_at_once():
    cleaned, _ = obey(plan(State.BAKE_AFTER), Order.CLEAN, NOW, "ada")
    assert decided(cleaned, None, MISSING).state is State.DONE


@pytest.mark.parametrize("state", [State.DONE, State.ROLLED_BACK, State.ABORTED, State.REFUSED])
def test_an_ended_rollout_is_closed_when_file_and_servers_have_one_version(state):
    before = plan(state, drops_other=True, is_open=True)
    for facts in (MISSING, EDITED, *(Facts(is_loaded=True, file=file) for file in (FileState.BEHIND, FileState.UNKNOWN))):
        assert decided(before, None, facts, TIRED) is None
    after = decided(before, None, GOOD)
    assert (after.state, after.is_open) == (state, False)
    assert decided(after, None, GOOD) is None


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ABORTED])
def test_an_ended_rollout_pins_stable_until_somebody_cleans(state):
    assert decided(plan(state), proven(), GOOD, NOW + 86_400 * SECOND) is None


# The database is away


ALONE = proven(0.1, 12, 12)


@pytest.mark.parametrize("before", THAWED, ids=stand)
def test_a_worker_takes_back_alone_by_much_more_evidence(before):
    assert not alone(before, {0: proven()}, 1)
    assert alone(before, {0: ALONE}, 4)
    assert not alone(before, {0: ALONE}, 10**12)


@pytest.mark.parametrize("state", sorted(set(State) - SHARING))
def test_a_worker_takes_nothing_back_alone_that_has_no_canary(state):
    assert not alone(plan(state), {0: ALONE}, 1)


def test_a_worker_never_takes_back_alone_what_is_to_be_frozen():
    assert not alone(plan(on_bad=OnBad.FREEZE), {0: ALONE}, 1)
    assert not alone(held(Hold.FROZEN), {0: ALONE}, 1)


def test_what_was_known_alone_is_written_when_the_database_is_back():
    after, event = taken_back_alone(plan(), {0: ALONE}, NOW)
    assert (after.state, after.canary_weight, event.what) == (State.ROLLING_BACK, 0, "rollback")
    assert "while the database was away" in event.reason


@pytest.mark.parametrize("before", [plan(State.ROLLED_BACK), plan(State.PROMOTING), held(Hold.FROZEN), plan(evidence_from=1)])
def test_what_others_have_decided_meanwhile_stands(before):
    assert taken_back_alone(before, {0: ALONE}, NOW) is None
