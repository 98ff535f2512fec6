"""A hub: its greenlets, what it calls soon or when it is idle, and how it sleeps."""

import gc
import logging
import weakref
from contextvars import ContextVar
from functools import partial

import pytest
from greenlet import getcurrent

from gateway import hub as hub_module
from gateway import waiting
from gateway.hub import Hub
from gateway.waiting import Signal
from tests.waiting import run_until


class Kept:
    """Something to hold on to."""


_seen: ContextVar[str] = ContextVar("seen", default="nothing")


def test_a_greenlet_is_used_again_and_nothing_of_what_it_ran_is_left():
    runs, held, ended = [], [], []

    def run(what: Kept, name: str) -> None:
        runs.append((getcurrent(), _seen.get()))
        _seen.set(name)
        held.append(weakref.ref(what))
        Signal().wait(0.001)
        ended.append(name)

    with Hub() as hub:
        for turn in range(3):
            hub.spawn(run, Kept(), f"turn {turn}")
            run_until(hub, lambda turn=turn: len(ended) == turn + 1)
        gc.disable()  # freed without it
        try:
            assert [what() for what in held] == [None] * 3
        finally:
            gc.enable()
    assert {seen for _, seen in runs} == {"nothing"}
    assert len({runner for runner, _ in runs}) == 1


def test_what_was_waited_for_is_forgotten_though_something_else_is_waited_for_longer(monkeypatch):
    monkeypatch.setattr(hub_module, "_TIMERS", 10)
    ended = []

    def wait_long() -> None:
        Signal().wait(0.5)
        ended.append("long")

    def wait_often() -> None:
        for _ in range(200):
            signal = Signal()
            hub.soon(signal.set)
            signal.wait(60)
        ended.append("often")

    with Hub() as hub:
        for _ in range(3):
            hub.spawn(wait_long)
        hub.spawn(wait_often)
        run_until(hub, lambda: "often" in ended)
        assert len(hub._timers) <= 12
        run_until(hub, lambda: len(ended) == 4)


def test_one_waiting_greenlet_is_not_given_to_another_function():
    order = []

    def first() -> None:
        signal = Signal()
        hub.soon(signal.set)
        signal.wait(10)
        order.append("first")

    with Hub() as hub:
        hub.spawn(first)
        for name in ("second", "third"):
            hub.spawn(order.append, name)
        run_until(hub, lambda: len(order) == 3)
    assert order == ["second", "third", "first"]


def test_what_a_greenlet_raises_reaches_the_loop_and_the_next_has_another():
    done = []
    with Hub() as hub:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                hub.spawn(lambda: 1 / 0)
            hub.spawn(done.append, 1)
    assert done == [1, 1, 1]


def test_greenlets_are_not_kept_without_bound(monkeypatch):
    monkeypatch.setattr(hub_module, "_RUNNERS", 4)
    done = []

    def wait() -> None:
        Signal().wait(0.01)
        done.append(getcurrent())

    with Hub() as hub:
        for _ in range(20):
            hub.spawn(wait)
        run_until(hub, lambda: len(done) == 20)
        assert len({runner for runner in done if not runner.dead}) == 4
        hub.spawn(done.append, None)
    assert done[-1] is None


def test_work_for_an_idle_moment_waits_for_one_but_not_for_ever():
    calls = []
    with Hub() as hub:
        hub.when_idle(partial(calls.append, "idle"), 30.0)
        assert hub.fall_asleep(1.0) == 0.0
        assert not hub.is_idle_work_overdue()
        hub.when_idle(partial(calls.append, "overdue"), 0.0)
        assert hub.is_idle_work_overdue()
        hub.run_idle()
        assert calls == ["idle", "overdue"]
        assert not hub.is_idle_work_overdue()
        assert hub.fall_asleep(1.0) == 1.0


def test_what_fails_in_an_idle_moment_stops_nothing_else_and_is_logged(caplog):
    calls = []

    def fail() -> None:
        raise ValueError("of a test")

    with Hub() as hub, caplog.at_level(logging.ERROR, "waiting"):
        for callback in (partial(calls.append, 1), fail, partial(calls.append, 2), fail, partial(calls.append, 3)):
            hub.when_idle(callback, 30.0)
        hub.run_idle()
        assert calls == [1, 2, 3]
        assert [repr(record.exc_info[1]) for record in caplog.records] == ["ValueError('of a test')"] * 2
        hub.run_idle()
        assert len(caplog.records) == 2


def test_what_an_idle_moment_puts_off_again_waits_for_the_next():
    calls = []

    with Hub() as hub:

        def again() -> None:
            calls.append("again")
            if len(calls) < 3:
                hub.when_idle(again, 0.0)

        hub.when_idle(again, 0.0)
        for expected in (1, 2, 3, 3):
            hub.run_idle()
            assert len(calls) == expected
        assert not hub.is_idle_work_overdue()


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_put_off_is_done_when_the_hub_ends(fails, caplog):
    """Also when something before it fails, and when the hub ends with an error; its thread still has the hub then."""
    calls, hub = [], Hub()

    def note(number: int) -> None:
        calls.append((number, waiting.here()))
        if fails:
            raise ValueError(number)

    def end_with_an_error() -> None:
        with hub:
            hub.when_idle(partial(note, 1), 30.0)
            hub.when_idle(partial(note, 2), 30.0)
            raise KeyError("end")

    with pytest.raises(KeyError, match="end"):
        end_with_an_error()
    assert calls == [(1, hub), (2, hub)]
    assert waiting.here() is None
    assert len(caplog.records) == (2 if fails else 0)


def test_what_is_due_soon_wakes_the_thread_that_sleeps():
    with Hub() as hub:
        assert hub.fall_asleep(1.0) == 1.0
        hub.soon(lambda: None)
        with open(hub.fileno(), "rb", buffering=0, closefd=False) as pipe:
            assert pipe.read(10) == b"\0"
