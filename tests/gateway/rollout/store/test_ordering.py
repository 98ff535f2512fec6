"""Orders in the database: what was seen is held against what there is, on each attempt."""

import pytest

from gateway.rollout import changes
from gateway.rollout.orders import Order
from gateway.rollout.plan import State
from gateway.rollout.starting import Wanted
from gateway.rollout.store import ordering
from gateway.rollout.store.ordering import Given, NoRollout
from gateway.rollout.store.seen import Outdated
from gateway.rollout.store.store import Store
from tests.gateway.rollout.store.making import a_report

NOW = 1_700_000_000_000_000


def running(store):
    plan = ordering.start(store, "digits", Wanted(canary=3), "ada")
    after, event = changes.change(plan, NOW, "run", state=State.RUNNING, stable=2, weight=plan.current.weight)
    assert store.change(plan, after, event)
    return after


def weigh(weight, seen=None, by="bo"):
    return Given(Order.WEIGHT, by, "", weight, seen)


def test_a_weight_is_kept_and_read_as_it_was_given(store, open_store):
    running(store)
    before, after = ordering.give(store, "digits", weigh(123_400))
    assert (before.weight, after.weight) == (10_000, 123_400)
    assert open_store().newest("digits") == after
    assert store.history("digits", 1)[0].reason == "12.34 % of the requests"


def test_an_order_for_what_was_seen_is_carried_out_and_one_for_what_was_before_is_not(store):
    seen = frozenset({("another", 2), ("digits-9-0", 7)})
    plan = running(store)
    with pytest.raises(Outdated, match="what was seen is not the newest rollout"):
        ordering.give(store, "digits", weigh(100, seen))
    _, after = ordering.give(store, "digits", weigh(100, seen | {(plan.id, plan.revision)}))
    with pytest.raises(Outdated, match=f"revision {plan.revision} was seen, and it is now at revision {after.revision}"):
        ordering.give(store, "digits", weigh(200, {(plan.id, plan.revision)}))
    assert store.newest("digits") == after


def test_a_model_without_a_rollout_has_none_whatever_was_seen(store):
    store.make_ready()
    with pytest.raises(NoRollout):
        ordering.give(store, "digits", weigh(100, {("digits-3-0", 1)}))


class Late(Store):
    """The database's clock is not this host's."""

    def now_us(self):
        return NOW


@pytest.fixture
def late(address):
    made = Late(address)
    yield made
    made.close()


def test_orders_are_dated_by_the_database(late):
    plan = ordering.start(late, "digits", Wanted(canary=3), "ada")
    assert (plan.created_us, plan.state_us, plan.step_us) == (NOW, NOW, NOW)
    after, event = changes.change(plan, 1, "run", state=State.RUNNING, stable=2, weight=plan.current.weight)
    assert late.change(plan, after, event)
    assert ordering.give(late, "digits", Given(Order.STEP, "bo"))[1].step_us == NOW
    assert [event.ts_us for event in late.history("digits")] == [NOW, 1, NOW]


def test_the_databases_time_is_that_of_the_gateways_decisions(store):
    times = [store.sync(a_report()).at_us, store.now_us(), store.sync(a_report()).at_us]
    assert times == sorted(times)


class Raced(Late):
    """Before its first change somebody else makes one."""

    first = True

    def change(self, before, after, event):
        if self.first:
            self.first = False
            ordering.give(self, before.model, Given(Order.PAUSE, "eve", "wait"))
        return super().change(before, after, event)


@pytest.fixture
def raced(address, store):
    running(store)
    made = Raced(address)
    yield made
    made.close()


def test_what_was_seen_is_held_against_each_attempt(raced):
    plan = raced.newest("digits")
    with pytest.raises(Outdated) as raised:
        ordering.give(raced, "digits", Given(Order.ABORT, "bo", seen={(plan.id, plan.revision)}))
    assert (raised.value.http_status, raised.value.code) == (412, "PRECONDITION_FAILED")
    assert "paused, step 1 of 3, with 1 % of the requests" in str(raised.value)
    assert "`pause` by eve at 2023-11-14 22:13:20 UTC (paused by eve: wait)" in str(raised.value)
    assert raced.newest("digits").state is State.PAUSED


def test_without_anything_seen_an_order_is_tried_again(raced):
    before, after = ordering.give(raced, "digits", Given(Order.ABORT, "bo"))
    assert (before.state, after.state) == (State.PAUSED, State.ABORTED)
