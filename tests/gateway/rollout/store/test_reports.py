"""What workers tell each other by the database: sums, revisions they follow, samples."""

import math
import time

import pytest

from gateway.rollout.evidence.totals import POINTS, Totals
from gateway.rollout.plan import State
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.store import Store
from tests.gateway.rollout.store.making import a_plan, a_report, advance, an_event, ended, some_totals
from tests.waiting import wait_for

DAY_US = 24 * 3_600_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def plan(store):
    """An open plan in the database."""
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    return plan


def test_the_sums_of_all_workers_are_added_by_step(open_store, plan):
    first, second = open_store(), open_store()
    first.sync(a_report("w1", evidence={(plan.id, 0): some_totals(1), (plan.id, 1): some_totals(2)}))
    view = second.sync(a_report("w2", evidence={(plan.id, 1): some_totals(3)}))
    assert view.totals == {plan.id: {0: some_totals(1), 1: some_totals(5)}}
    assert second.totals(plan.id) == view.totals[plan.id]


def test_sums_that_are_reported_again_change_nothing(store, open_store, plan):
    report = a_report(evidence={(plan.id, 0): some_totals(4)})
    for one in (store, store, open_store()):  # the last one does not know what is there
        assert one.sync(report).totals == {plan.id: {0: some_totals(4)}}


def test_another_run_tells_all_it_has_though_it_is_the_same(store, plan):
    for boot in ("w1", "w2"):
        view = store.sync(a_report(boot, evidence={(plan.id, 0): some_totals(4)}))
    assert view.totals == {plan.id: {0: some_totals(8)}}
    assert view.workers.keys() == {"w1", "w2"}


def test_sums_grow_and_stay_when_their_worker_is_gone(store, open_store, plan):
    gone = open_store()
    for n in (1, 2, 7):
        gone.sync(a_report("gone", evidence={(plan.id, 0): some_totals(n)}))
    gone.close()
    assert store.sync(a_report("next")).totals == {plan.id: {0: some_totals(7)}}


def test_sums_of_a_step_that_is_over_stay_when_they_are_not_reported_any_more(store, plan):
    store.sync(a_report(evidence={(plan.id, 0): some_totals(1)}))
    view = store.sync(a_report(evidence={(plan.id, 1): some_totals(2)}))
    assert view.totals == {plan.id: {0: some_totals(1), 1: some_totals(2)}}


def test_an_impossible_alternative_stays_impossible_in_a_sum(store, open_store, plan):
    store.sync(a_report("w1", evidence={(plan.id, 0): Totals(disagree=[-math.inf] * POINTS)}))
    view = open_store().sync(a_report("w2", evidence={(plan.id, 0): some_totals(1)}))
    assert view.totals[plan.id][0].disagree == [-math.inf] * POINTS
    assert view.totals[plan.id][0].error == some_totals(1).error


def test_sums_that_come_after_the_plan_was_closed_are_kept(store, plan):
    advance(store, plan, state=State.ABORTED, is_open=False)
    view = store.sync(a_report(evidence={(plan.id, 0): some_totals(1)}))
    assert (view.plans, view.totals) == ((), {})
    assert store.totals(plan.id) == {0: some_totals(1)}


def test_workers_tell_of_themselves_while_a_plan_is_open(store, open_store):
    assert store.sync(a_report("w1")).workers == store.workers() == {}
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    store.sync(a_report("w1", seen={plan.id: 1}))
    workers = open_store().sync(a_report("w2", host="two", pid=22)).workers
    assert {boot: (worker.host, worker.pid, worker.seen) for boot, worker in workers.items()} == {
        "w1": ("one", 11, {plan.id: 1}),
        "w2": ("two", 22, {}),
    }
    assert all(0 <= worker.age_s < 5 for worker in workers.values())
    assert store.workers().keys() == workers.keys()


def told_us(sql):
    return sql("SELECT ts_us FROM rollout_workers WHERE boot = 'w1'")[0][0]


def test_a_worker_tells_of_itself_every_two_seconds_and_at_once_of_a_new_revision(open_store, plan, sql, clock):
    store = open_store(now=clock)
    store.sync(a_report())
    before_us = told_us(sql)
    clock.now_s += 1.9
    store.sync(a_report())
    assert told_us(sql) == before_us
    store.sync(a_report(seen={plan.id: 1}))
    at_once_us = told_us(sql)
    assert at_once_us > before_us
    clock.now_s += 2.1
    store.sync(a_report(seen={plan.id: 1}))
    assert told_us(sql) > at_once_us


def test_a_worker_that_was_not_heard_of_for_ten_seconds_is_gone_and_forgotten_after_an_hour(open_store, plan, sql, clock):
    store = open_store(now=clock)
    store.sync(a_report("w1"))
    sql("UPDATE rollout_workers SET ts_us = ts_us - 11000000")
    assert store.workers() == {}
    open_store().sync(a_report("w2"))
    assert told_us(sql)
    sql("UPDATE rollout_workers SET ts_us = ts_us - 3600000000 WHERE boot = 'w1'")
    clock.now_s += 3601
    assert store.sync(a_report("w3")).workers.keys() == {"w2", "w3"}
    assert sql("SELECT boot FROM rollout_workers ORDER BY boot") == [("w2",), ("w3",)]


def test_nothing_is_written_without_an_open_plan_and_something_to_tell(store, open_store, sql):
    ended(store, a_plan(), is_open=False)
    one = open_store()
    one.sync(a_report(evidence={("digits-3-f4a1", 0): some_totals(1)}))
    sql("DELETE FROM rollout_evidence")
    for _ in range(3):
        view = one.sync(a_report(seen={"x": 1}, evidence={("digits-3-f4a1", 0): some_totals(1)}))
        assert (view.plans, view.totals, view.workers) == ((), {}, {})
    assert sql("SELECT * FROM rollout_evidence") == sql("SELECT * FROM rollout_workers") == []


def test_only_reading_waits_for_no_writer(open_store, plan):
    """Neither SQLite's nor PostgreSQL's readers do. A worker that has told all it knows is such a reader."""
    store = open_store()
    report = a_report(seen={plan.id: 1}, evidence={(plan.id, 0): some_totals(1)})
    store.sync(report)
    store.sync(report)
    writer = open_store()
    with writer._database.writing() as connection:
        writer._database.lock(connection)
        assert store.sync(report).totals == {plan.id: {0: some_totals(1)}}


def test_the_time_of_a_view_is_the_databases(store):
    assert abs(store.sync(a_report()).at_us / 1e6 - time.time()) < 5


def test_the_first_twenty_samples_of_each_plan_are_kept(store, open_store, plan):
    given = [(plan.id, {"n": n, "output": "scores"}) for n in range(15)]
    store.sync(a_report("w1", samples=[*given, ("another", {"n": 0})]))
    open_store().sync(a_report("w2", samples=given))
    kept = [sample["n"] for sample in store.samples(plan.id)]
    assert kept == [*range(15), *range(5)]
    assert store.samples("another") == ({"n": 0},)


def test_what_old_plans_were_decided_by_is_deleted_but_no_plan_and_no_history(store, open_store, sql):
    now_us = store.sync(a_report()).at_us
    ages = {"old": 31, "young": 29, "open": 40}
    for number, (model, days) in enumerate(ages.items()):
        plan = a_plan(model, model=model, state_us=now_us - days * DAY_US)
        assert store.create(plan, an_event(plan))
        store.sync(a_report(evidence={(model, 0): some_totals(number + 1)}, samples=[(model, {})]))
        if model != "open":
            assert advance(store, plan, state=State.DONE).is_ended
    open_store().sync(a_report("w2", evidence={("young", 1): some_totals(1)}))  # the first one of a run cleans
    assert sql("SELECT DISTINCT plan FROM rollout_evidence ORDER BY plan") == [("open",), ("young",)]
    assert sql("SELECT plan FROM rollout_samples ORDER BY plan") == [("open",), ("young",)]
    assert len(store.newest_of_all()) == 3
    assert len(store.history()) == 5


def test_the_newest_hundred_plans_of_a_model_keep_what_they_were_decided_by(store, open_store, sql):
    now_us = store.sync(a_report()).at_us
    for number in range(102):
        ended(store, a_plan(f"p-{number:03}", created_us=now_us + number, state_us=now_us + number))
    other = ended(store, a_plan("other", model="other", created_us=now_us, state_us=now_us))
    every = [f"p-{number:03}" for number in range(102)] + [other.id]
    store.sync(a_report(evidence={(name, 0): some_totals(1) for name in every}))
    open_store().sync(a_report("w2", evidence={("x", 0): some_totals(1)}))
    kept = {name for (name,) in sql("SELECT plan FROM rollout_evidence WHERE boot = 'w1'")}
    assert set(every) - kept == {"p-000", "p-001"}


def test_tables_that_were_dropped_are_made_again_and_the_sums_written_again(store, plan, sql):
    report = a_report(evidence={(plan.id, 0): some_totals(3)})
    store.sync(report)
    for table in ("plans", "events", "evidence", "workers", "samples", "schema"):
        sql(f"DROP TABLE rollout_{table}")
    with pytest.raises(StoreAway):
        store.sync(report)
    assert store.sync(report).plans == ()
    assert store.totals(plan.id) == {0: some_totals(3)}


def test_only_a_report_and_a_new_plan_make_the_tables(open_store, tmp_path):
    store = open_store()
    for look in (store.newest_of_all, store.history, store.workers, lambda: store.samples("x")):
        with pytest.raises(StoreAway, match="there is no"):
            look()
    assert not (tmp_path / "state.db").exists()
    store.sync(a_report())
    assert store.newest_of_all() == ()


def test_what_is_no_address_is_refused_without_its_password():
    with pytest.raises(ValueError, match="expected sqlite:///file or postgresql") as refusal:
        Store("mysql://anna:secret-word@host/db")
    assert "secret-word" not in str(refusal.value)


def test_a_database_that_is_away_is_said_to_be_and_gets_all_sums_when_it_is_back(tmp_path, server):
    server.execute("CREATE DATABASE goes_away")
    store = Store(server.address().removesuffix("postgres") + "goes_away")
    plan = a_plan()
    assert store.create(plan, an_event(plan))
    store.sync(a_report(evidence={(plan.id, 0): some_totals(1)}))
    server.stop()
    started_s = time.monotonic()
    try:
        for call in (lambda: store.sync(a_report(evidence={(plan.id, 0): some_totals(2)})), store.newest_of_all):
            with pytest.raises(StoreAway, match=r"refused|terminat|closed"):
                call()
        assert time.monotonic() - started_s < 10
    finally:
        server.start()
    assert wait_for(lambda: store.sync(a_report(evidence={(plan.id, 0): some_totals(3)})).totals) == {
        plan.id: {0: some_totals(3)}
    }
    store.close()


def test_a_table_that_somebody_has_locked_is_given_up_in_time(server):
    store = Store(server.address())
    store.sync(a_report())
    with server.locked("rollout_plans"):
        for call in (lambda: store.sync(a_report()), lambda: store.newest("digits")):
            started_s = time.monotonic()
            with pytest.raises(StoreAway, match="statement timeout"):
                call()
            assert time.monotonic() - started_s < 10
    assert store.newest("digits") is None
    store.close()
