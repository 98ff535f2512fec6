"""What each order does, and where it means nothing."""

import pytest

from gateway.rollout.orders import MOST_STEPS, Order, OrderRefused, obey, orders_of
from gateway.rollout.plan import WHOLE, Hold, Plan, State, Step
from tests.gateway.rollout.plans import NOW, SECOND, STEPS, held, plan

LATER = NOW + 30 * SECOND

RUNNING = {Order.STEP, Order.WEIGHT, Order.PAUSE, Order.PROMOTE, Order.ABORT}
WAITING = {Order.PAUSE, Order.RESUME, Order.PROMOTE, Order.ABORT}
STANDS = {
    "draft": (plan(State.DRAFT), {Order.ABORT}),
    "loading": (plan(State.LOADING), {Order.ABORT}),
    "warming": (plan(State.WARMING), {Order.ABORT}),
    "running": (plan(), RUNNING),
    "holding-gate": (held(Hold.GATE), RUNNING),
    "holding-no_data": (held(Hold.NO_DATA), RUNNING),
    "holding-suspicious": (held(Hold.SUSPICIOUS), RUNNING),
    "holding-split": (held(Hold.SPLIT), RUNNING),
    "holding-not_loaded": (held(Hold.NOT_LOADED), WAITING - {Order.PROMOTE}),
    "holding-file_changed": (held(Hold.FILE_CHANGED), WAITING),
    "holding-frozen": (held(Hold.FROZEN), WAITING),
    "paused": (plan(State.PAUSED), WAITING - {Order.PAUSE}),
    "paused-not_loaded": (held(Hold.NOT_LOADED, State.PAUSED), {Order.RESUME, Order.ABORT}),
    "promoting": (plan(State.PROMOTING), {Order.UNDO}),
    "bake_after": (plan(State.BAKE_AFTER), {Order.UNDO, Order.CLEAN}),
    "bake_after-cleaned": (plan(State.BAKE_AFTER, drops_other=True), set()),
    "rolling_back": (plan(State.ROLLING_BACK), set()),
    "rolled_back": (plan(State.ROLLED_BACK), {Order.CLEAN}),
    "rolled_back-cleaned": (plan(State.ROLLED_BACK, drops_other=True), set()),
    "rolled_back-closed": (plan(State.ROLLED_BACK, is_open=False), set()),
    "aborted": (plan(State.ABORTED), {Order.CLEAN}),
    "done": (plan(State.DONE), set()),
    "refused": (plan(State.REFUSED), set()),
    "refused-open": (plan(State.REFUSED, is_open=True), {Order.CLEAN}),
}


WEIGHTS = {Order.WEIGHT: 125_000}
"""What an order needs besides."""


def ordered(before: Plan, order: Order, note: str = "") -> Plan:
    after, event = obey(before, order, LATER, "ada", note, weight=WEIGHTS.get(order))
    assert (event.plan, event.revision, event.by, event.what, event.ts_us) == (before.id, 2, "ada", order, LATER)
    assert after.revision == before.revision + 1
    return after


def _words(state):
    return "promoted (the old version is still loaded)" if state is State.BAKE_AFTER else state.replace("_", " ")


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("stand", STANDS)
def test_an_order_is_obeyed_where_it_means_something_and_refused_elsewhere(stand, order):
    before, allowed = STANDS[stand]
    assert set(orders_of(before)) == allowed
    if order in allowed:
        ordered(before, order)
        return
    with pytest.raises(OrderRefused) as raised:
        obey(before, order, LATER, "ada", weight=WEIGHTS.get(order))
    message = str(raised.value)
    assert message.startswith(f"`{order}` cannot be done: the rollout of version 3 of digits is {_words(before.state)}")
    assert all(f"`{one}`" in message for one in allowed)


def test_every_state_has_its_orders():
    assert {stand.state for stand, _ in STANDS.values()} == set(State)


def test_a_refusal_is_a_conflict():
    assert (OrderRefused.http_status, OrderRefused.code) == (409, "FAILED_PRECONDITION")


def test_a_step_goes_on_to_the_next_weight():
    after = ordered(held(Hold.GATE, next_look=400), Order.STEP)
    assert (after.state, after.hold, after.reason) == (State.RUNNING, Hold.NONE, "")
    assert (after.step, after.weight, after.step_us, after.next_look) == (1, 100_000, LATER, 0)


def test_a_step_after_the_last_one_promotes():
    after = ordered(plan(step=2), Order.STEP)
    assert (after.state, after.canary_weight, after.reason) == (State.PROMOTING, WHOLE, "promoted by ada")


def test_a_pause_keeps_the_weight_and_a_resumed_rollout_goes_on():
    paused = ordered(plan(step=1), Order.PAUSE, "lunch")
    assert (paused.state, paused.canary_weight, paused.reason) == (State.PAUSED, 100_000, "paused by ada: lunch")
    after, _ = obey(paused, Order.RESUME, LATER, "bo")
    assert (after.state, after.canary_weight, after.reason, after.step_us) == (State.RUNNING, 100_000, "", NOW)


@pytest.mark.parametrize("hold", [Hold.GATE, Hold.NO_DATA, Hold.SUSPICIOUS, Hold.SPLIT])
def test_a_pause_replaces_what_the_gate_said(hold):
    assert ordered(held(hold), Order.PAUSE).hold is Hold.NONE


@pytest.mark.parametrize("hold", [Hold.NOT_LOADED, Hold.FILE_CHANGED, Hold.FROZEN])
def test_a_pause_keeps_what_it_does_not_end(hold):
    paused = ordered(held(hold, step=1), Order.PAUSE)
    assert (paused.state, paused.hold, paused.is_frozen) == (State.PAUSED, hold, hold is Hold.FROZEN)
    assert paused.canary_weight == (0 if hold is Hold.NOT_LOADED else 100_000)


@pytest.mark.parametrize("state", [State.HOLDING, State.PAUSED])
@pytest.mark.parametrize("hold", [Hold.FILE_CHANGED, Hold.NOT_LOADED])
def test_versions_are_loaded_once_more_when_a_person_says_so(hold, state):
    after = ordered(held(hold, state, step=1), Order.RESUME)
    assert (after.state, after.hold, after.canary_weight, after.step) == (State.LOADING, Hold.NONE, 0, 1)
    assert after.stays_open
    assert after.kept == 2


@pytest.mark.parametrize("state", [State.HOLDING, State.PAUSED])
def test_a_frozen_rollout_goes_on_with_the_same_step_and_new_evidence(state):
    after = ordered(held(Hold.FROZEN, state, step=1), Order.RESUME)
    assert (after.state, after.hold, after.is_frozen, after.canary_weight) == (State.RUNNING, Hold.NONE, False, 100_000)
    assert after.steps == (STEPS[0], STEPS[1], STEPS[1], STEPS[2])
    assert (after.step, after.evidence_from, after.step_us) == (2, 2, LATER)


def test_a_frozen_rollout_that_is_not_loaded_begins_anew_and_is_loaded():
    before = plan(State.HOLDING, hold=Hold.NOT_LOADED, is_frozen=True)
    after = ordered(before, Order.RESUME)
    assert (after.state, after.is_frozen, after.evidence_from) == (State.LOADING, False, 1)


def test_a_promotion_sends_every_request_to_the_canary_and_keeps_the_old_version():
    after = ordered(held(Hold.FROZEN), Order.PROMOTE, "the reports are wrong")
    assert (after.state, after.canary_weight, after.kept, after.versions) == (State.PROMOTING, WHOLE, 3, (2, 3))
    assert after.reason == "promoted by ada: the reports are wrong"
    assert not after.is_frozen


def test_an_aborted_rollout_pins_stable_until_it_is_cleaned():
    after = ordered(plan(step=2), Order.ABORT)
    assert (after.state, after.canary_weight, after.weight, after.kept, after.is_open) == (State.ABORTED, 0, 0, 2, True)
    assert after.versions == (2, 3)
    cleaned, _ = obey(after, Order.CLEAN, LATER, "ada")
    assert (cleaned.versions, cleaned.is_open, cleaned.state) == ((2,), True, State.ABORTED)


def test_an_aborted_draft_pins_only_what_was_pinned_before():
    assert not ordered(plan(State.DRAFT, stable=None), Order.ABORT).is_open
    assert ordered(plan(State.DRAFT, stays_open=True), Order.ABORT).is_open


@pytest.mark.parametrize("state", [State.PROMOTING, State.BAKE_AFTER])
def test_an_undone_promotion_goes_back_to_stable(state):
    after = ordered(plan(state, step=2), Order.UNDO)
    assert (after.state, after.canary_weight, after.kept, after.reason) == (State.ROLLING_BACK, 0, 2, "undone by ada")


def test_a_promotion_can_be_cleaned_before_its_time():
    after = ordered(plan(State.BAKE_AFTER), Order.CLEAN)
    assert (after.state, after.drops_other, after.versions) == (State.BAKE_AFTER, True, (3,))


def test_the_history_has_the_note_of_an_order_that_leaves_no_reason():
    after, event = obey(plan(), Order.STEP, LATER, "ada", "looks good")
    assert (after.reason, event.reason) == ("", "looks good")


def test_a_step_may_be_the_first_with_callers():
    after = ordered(plan(steps=(Step(0, 60), Step(10_000, 60)), weight=0), Order.STEP)
    assert after.canary_weight == 10_000


def weighted(before: Plan, weight: int, note: str = ""):
    return obey(before, Order.WEIGHT, LATER, "ada", note, weight=weight)


def test_a_weight_is_a_step_after_the_current_one_which_begins_now():
    after, event = weighted(plan(next_look=400), 125_000, "half of Europe")
    assert (after.state, after.hold, after.reason, after.next_look) == (State.RUNNING, Hold.NONE, "", 0)
    assert (after.step, after.step_us, after.weight, after.canary_weight) == (1, LATER, 125_000, 125_000)
    assert after.steps == (STEPS[0], Step(125_000, 60), STEPS[2])
    assert (event.by, event.what, event.reason) == ("ada", "weight", "12.5 % of the requests: half of Europe")


@pytest.mark.parametrize(
    ("step", "weight", "after"),
    [
        (0, 100, (10_000, 100, 100_000, 500_000)),
        (0, 100_000, (10_000, 100_000, 500_000)),
        (0, 500_100, (10_000, 500_100)),
        (2, 10_000, (10_000, 100_000, 500_000, 10_000)),
        (2, 500_000, (10_000, 100_000, 500_000, 500_000)),
        (2, 999_900, (10_000, 100_000, 500_000, 999_900)),
    ],
)
def test_of_the_steps_after_a_weight_only_those_that_give_more_are_left(step, weight, after):
    made, _ = weighted(plan(step=step), weight)
    assert tuple(one.weight for one in made.steps) == after
    assert (made.step, made.current.weight, made.weight) == (step + 1, weight, weight)


@pytest.mark.parametrize("hold", [Hold.GATE, Hold.NO_DATA, Hold.SUSPICIOUS, Hold.SPLIT])
def test_a_weight_ends_what_the_gate_holds(hold):
    after, _ = weighted(held(hold), 20_000)
    assert (after.state, after.hold, after.reason) == (State.RUNNING, Hold.NONE, "")


def test_the_step_of_a_weight_waits_for_a_person_if_the_one_before_it_did():
    after, _ = weighted(plan(steps=(Step(10_000, 0, True), Step(500_000, 60))), 20_000)
    assert after.current == Step(20_000, 0, True)


def test_the_evidence_of_the_steps_before_a_weight_counts_on():
    after, _ = weighted(plan(step=1, evidence_from=1), 20_000)
    assert after.evidence_from == 1


def test_weights_are_set_until_there_are_as_many_steps_as_a_plan_may_have():
    one = plan(steps=STEPS[:1])
    for number in range(1, MOST_STEPS):
        one, _ = weighted(one, 100 * number)
    assert len(one.steps) == MOST_STEPS
    assert Order.WEIGHT not in orders_of(one)
    with pytest.raises(OrderRefused):
        weighted(one, 100)
    assert Order.STEP in orders_of(one)


@pytest.mark.parametrize("weight", [-100, 0, WHOLE, WHOLE + 100, None])
def test_a_weight_is_between_nothing_and_everything(weight):
    with pytest.raises(ValueError, match="expected a weight"):
        weighted(plan(), weight)


@pytest.mark.parametrize("order", [order for order in Order if order is not Order.WEIGHT])
def test_no_other_order_takes_a_weight(order):
    with pytest.raises(ValueError, match="no other"):
        obey(plan(), order, LATER, "ada", weight=100)
