"""Plans and their history: one open plan of a model, and each change made by exactly one."""

import threading

import pytest

from gateway.rollout.plan import Hold, State
from gateway.rollout.store.away import StoreAway
from tests.gateway.rollout.store.making import MINUTE_US, a_plan, a_report, advance, an_event, ended


def test_a_plan_is_found_by_its_model_and_its_id_and_among_the_open_ones(store):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    assert store.newest("digits") == store.plan(plan.id) == plan
    assert store.newest_of_all() == store.sync(a_report()).plans == (plan,)
    assert store.history() == (an_event(plan),)


def test_what_is_not_there_is_not_found(store):
    assert store.sync(a_report()).plans == ()
    assert store.newest("digits") is store.plan("digits-3-f4a1") is None
    assert store.newest_of_all() == store.history() == store.samples("x") == ()
    assert store.totals("x") == store.workers() == store.failed_versions("digits") == {}


@pytest.mark.parametrize("state", [state for state in State if not a_plan(state=state).is_ended])
def test_a_model_has_one_plan_that_has_not_ended(store, state):
    plan = a_plan(state=state)
    assert store.create(plan, an_event(plan))
    another = a_plan("digits-4-0000", canary=4, created_us=2)
    assert not store.create(another, an_event(another))
    assert store.newest_of_all() == (plan,)
    assert len(store.history()) == 1


def test_each_model_has_its_own_plan(store):
    plans = (a_plan("a-1-1", model="a"), a_plan("b-1-1", model="b"))
    for plan in reversed(plans):
        assert store.create(plan, an_event(plan))
    assert store.newest_of_all() == store.sync(a_report()).plans == plans


def test_a_new_plan_closes_the_one_before_which_has_ended_and_pinned_a_version(store):
    before = ended(store, a_plan(), State.ROLLED_BACK)
    assert before.is_open
    after = a_plan("digits-4-0000", canary=4, created_us=7 * MINUTE_US, state_us=7 * MINUTE_US)
    assert store.create(after, an_event(after, by="bob"))
    assert store.newest("digits") == after
    assert store.sync(a_report()).plans == (after,)
    closed = store.plan(before.id)
    assert closed == before.changed(after.state_us, is_open=False)
    newest, closing = store.history(most=2)
    assert (newest.plan, newest.what) == (after.id, "start")
    assert (closing.plan, closing.revision, closing.by, closing.what) == (before.id, closed.revision, "bob", "close")
    assert closing.before == closing.after == State.ROLLED_BACK
    assert after.id in closing.reason


def test_a_plan_that_was_closed_before_stays_as_it_is(store):
    before = ended(store, a_plan(), is_open=False)
    after = a_plan("digits-4-0000", created_us=2)
    assert store.create(after, an_event(after))
    assert store.plan(before.id) == before
    assert len(store.history()) == 3


def test_a_change_replaces_the_plan_and_is_in_the_history(store):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    after = plan.changed(MINUTE_US, state=State.HOLDING, hold=Hold.NO_DATA, reason="nobody came")
    event = an_event(after, "hold", by="gateway", evidence={"canary_cells": 3})
    assert store.change(plan, after, event)
    assert store.plan(plan.id) == store.newest("digits") == after
    assert store.history() == (event, an_event(plan))


def test_a_change_of_a_revision_that_is_gone_changes_nothing(store):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    after = advance(store, plan, state=State.LOADING)
    late = plan.changed(MINUTE_US, state=State.ABORTED)
    assert not store.change(plan, late, an_event(late, "abort"))
    assert store.plan(plan.id) == after
    assert len(store.history()) == 2


def test_a_change_of_a_plan_that_is_not_there_changes_nothing(store):
    store.sync(a_report())
    plan = a_plan()
    after = plan.changed(2, state=State.LOADING)
    assert not store.change(plan, after, an_event(after))
    assert store.history() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda plan: (plan, an_event(plan)),
        lambda plan: (plan.changed(2).changed(3), an_event(plan.changed(2).changed(3))),
        lambda plan: (plan.changed(2), an_event(plan)),
        lambda plan: (plan.changed(2), an_event(a_plan("other", revision=2))),
    ],
    ids=["same revision", "a revision left out", "event of another revision", "event of another plan"],
)
def test_a_change_that_is_not_the_next_revision_is_a_mistake_of_the_caller(store, wrong):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    with pytest.raises(ValueError, match="expected revision"):
        store.change(plan, *wrong(plan))
    assert store.plan(plan.id) == plan


def at_once(calls):
    """What each of the calls returned, made in threads at the same moment."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(number):
        barrier.wait()
        results[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_those_that_change_a_plan_at_once_exactly_one_wins(store, open_store):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    stores = [open_store() for _ in range(6)]
    for _ in range(10):
        after = plan.changed(plan.state_us + 1, reason="decided")

        def decide(one, plan=plan, after=after):
            return lambda: one.change(plan, after, an_event(after, "decide"))

        assert sorted(at_once([decide(one) for one in stores])) == [False] * 5 + [True]
        plan = after
    assert store.plan(plan.id) == plan
    assert [event.revision for event in store.history()] == list(range(11, 0, -1))


def test_of_those_that_begin_a_rollout_at_once_exactly_one_wins(open_store):
    """None of them has seen the database before, which is empty."""
    stores = [open_store() for _ in range(6)]
    plans = [a_plan(f"digits-3-{number}") for number in range(6)]

    def begin(one, plan):
        return lambda: one.create(plan, an_event(plan))

    won = at_once([begin(one, plan) for one, plan in zip(stores, plans, strict=True)])
    assert sorted(won) == [False] * 5 + [True]
    assert stores[0].newest_of_all() == (plans[won.index(True)],)
    assert len(stores[0].history()) == 1


def test_the_history_is_of_one_model_or_of_all_and_the_newest_first(store):
    """Also when a clock was set back."""
    for number in range(3):
        ended(store, a_plan(f"a-{number}", model="a", created_us=9 - number, state_us=9 - number))
    ended(store, a_plan("b-0", model="b"))
    assert [event.plan for event in store.history(most=3)] == ["b-0", "b-0", "a-2"]
    told = [f"{event.plan} {event.what}" for event in store.history("a")]
    assert told == ["a-2 step", "a-2 start", "a-1 close", "a-1 step", "a-1 start", "a-0 close", "a-0 step", "a-0 start"]
    assert store.history("c") == ()


def test_a_version_has_failed_until_it_succeeds(store):
    states = [State.ROLLED_BACK, State.ABORTED, State.ROLLED_BACK, State.REFUSED, State.DONE]
    canaries = [3, 3, 4, 5, 6]
    for number, (state, canary) in enumerate(zip(states, canaries, strict=True)):
        ended(store, a_plan(f"p-{number}", canary=canary, created_us=number), state, reason=f"why {number}")
    assert {version: plan.reason for version, plan in store.failed_versions("digits").items()} == {3: "why 0", 4: "why 2"}
    ended(store, a_plan("p-8", canary=3, created_us=8), State.DONE)
    ended(store, a_plan("p-9", canary=4, created_us=9), State.ROLLED_BACK, reason="again")
    assert {version: plan.reason for version, plan in store.failed_versions("digits").items()} == {4: "again"}
    assert store.failed_versions("dense") == {}


def test_a_plan_that_cannot_be_read_is_said_to_be_so(store, sql):
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    sql('UPDATE rollout_plans SET document = \'{"state": "melting"}\'')
    for look in (lambda: store.newest("digits"), lambda: store.sync(a_report()), lambda: store.create(plan, an_event(plan))):
        with pytest.raises(StoreAway, match="it has a row that this gateway cannot read"):
            look()


def test_a_plan_whose_id_is_taken_is_refused(store):
    ended(store, a_plan())
    with pytest.raises(StoreAway, match="it does not take a row"):
        store.create(a_plan(), an_event(a_plan()))
