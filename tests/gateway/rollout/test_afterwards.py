"""After the promotion: how long the old version stays loaded, if the new one fails what the old one answers."""

import pytest

from gateway.rollout.afterwards import baked
from gateway.rollout.evidence.totals import Totals
from gateway.rollout.orders import Order, obey
from gateway.rollout.plan import Hold, Plan, State
from tests.gateway.rollout.plans import NOW, SECOND, plan

KEPT = 600
PROMOTED = plan(State.BAKE_AFTER, keep_old_s=KEPT, reason="promoted by ada")


def alone(asked: int, failed: int) -> Totals:
    return Totals(alone_asked=asked, alone_failed=failed)


def after(before: Plan, totals: Totals, at_s: float) -> Plan:
    found = baked(before, {2: totals}, "", NOW + int(at_s * SECOND))
    return before if found is None else found[0]


def test_a_canary_that_fails_what_the_old_version_answers_is_told_at_once_and_holds():
    change = baked(PROMOTED, {1: alone(0, 0), 2: alone(1000, 400)}, "", NOW + 20 * SECOND)
    failing, event = change
    assert (failing.state, failing.hold, failing.versions, failing.canary_weight) == (
        State.BAKE_AFTER,
        Hold.FAILING,
        (2, 3),
        PROMOTED.canary_weight,
    )
    assert failing.reason.startswith("400 of the last 1,000 requests failed on version 3, and version 2 has answered them")
    assert "`undo`" in failing.reason
    assert (event.what, event.after) == ("hold", "bake_after (failing)")


@pytest.mark.parametrize("at_s", [KEPT, 10 * KEPT], ids=["in-time", "later"])
def test_the_old_version_stays_while_the_canary_fails(at_s):
    failing = after(PROMOTED, alone(1000, 400), 20)
    for totals in (alone(1000, 400), alone(2000, 800)):  # nobody asks, and it goes on
        assert after(failing, totals, at_s).hold is Hold.FAILING
        assert after(failing, totals, at_s).state is State.BAKE_AFTER


def test_a_failure_that_begins_in_the_last_seconds_is_not_hidden_by_the_hours_before():
    seen = PROMOTED.changed(NOW, keep_old_s=7200)
    for second, failed in ((7195, 1), (7196, 11), (7200, 51)):
        seen = after(seen, alone(72_000 + 10 * (second - 7195), failed), second)
    assert (seen.state, seen.hold) == (State.BAKE_AFTER, Hold.FAILING)


def test_a_canary_that_is_well_again_is_done_after_a_look():
    failing = after(PROMOTED, alone(1000, 400), 20)
    assert after(failing, alone(90_000, 410), 319) == failing
    well = after(failing, alone(90_000, 410), 320)
    assert (well.hold, well.reason) == (Hold.NONE, "")
    assert after(well, alone(90_100, 410), 599) == well
    done = after(well, alone(90_100, 410), 600)
    assert (done.state, done.hold, done.drops_other) == (State.DONE, Hold.NONE, True)


def test_few_failures_let_the_old_version_go_in_its_time():
    seen, looks = PROMOTED, 0
    for second in range(1, KEPT + 1):
        before, seen = seen, after(seen, alone(100 * second, second), second)
        looks += seen.revision != before.revision and seen.state is State.BAKE_AFTER
    assert (seen.state, seen.reason) == (State.DONE, "promoted by ada")
    assert looks <= 2


def test_without_failures_nothing_is_noted_until_it_is_done():
    assert after(PROMOTED, alone(10**6, 0), KEPT - 1) == PROMOTED
    assert after(PROMOTED, alone(10**6, 0), KEPT).state is State.DONE


@pytest.mark.parametrize(("order", "state"), [(Order.UNDO, State.ROLLING_BACK), (Order.CLEAN, State.DONE)])
def test_a_person_decides_over_a_canary_that_fails(order, state):
    failing = after(PROMOTED, alone(1000, 400), 20)
    ordered, _ = obey(failing, order, NOW, "ada")
    found = after(ordered, alone(1000, 400), 21) if order is Order.CLEAN else ordered
    assert (found.state, found.hold) == (state, Hold.NONE)
