"""Waiting in threads and in greenlets: the same contract, and one greenlet's wait keeps no other from running."""

import gc
import logging
import threading
import time
import weakref
from contextvars import ContextVar
from functools import partial

import pytest
from greenlet import getcurrent

from gateway import waiting
from gateway.waiting import Hub, Signal


def run_until(hub: Hub, is_done, timeout_s: float = 10.0) -> None:
    """Turn the hub's loop as the worker does, but asleep in a plain sleep."""
    until_s = time.monotonic() + timeout_s
    while not is_done():
        assert time.monotonic() < until_s
        hub.run_due()
        time.sleep(min(hub.fall_asleep(0.005), 0.005))
        hub.wake_up()
        hub.run_due()
        hub.run_idle()


def test_a_thread_waits_until_another_sets_the_signal():
    signal = Signal()
    threading.Timer(0.05, signal.set).start()
    assert signal.wait(10)
    assert signal.is_set()
    assert signal.wait(10)


def test_a_wait_ends_in_time_and_can_be_repeated():
    signal = Signal()
    assert not signal.wait(0.01)
    assert not signal.wait(-1)
    signal.set()
    signal.set()
    assert signal.wait(0)


def test_greenlets_wait_side_by_side_in_one_thread():
    done = []

    def handle(number: int, signal: Signal) -> None:
        done.append((number, signal.wait(10)))

    with Hub() as hub:
        signals = []
        for number in range(100):
            # Made by who waits, as in a request.
            hub.spawn(lambda number=number: (signals.append(Signal()), handle(number, signals[number])))
        assert done == []
        setter = threading.Thread(target=lambda: [signal.set() for signal in reversed(signals)])
        setter.start()
        run_until(hub, lambda: len(done) == 100)
        setter.join()
    assert done == [(number, True) for number in reversed(range(100))]


def test_a_greenlets_wait_ends_in_time():
    outcomes = []
    with Hub() as hub:
        hub.spawn(lambda: outcomes.append(Signal().wait(0.02)))
        hub.spawn(lambda: outcomes.append(Signal().wait(0.01)))
        run_until(hub, lambda: len(outcomes) == 2)
    assert outcomes == [False, False]


def test_a_signal_that_is_set_at_any_moment_wakes_its_waiter_once():
    """Thousands of waits, each set by another thread at about the moment at which it begins or ends."""
    outcomes = []
    with Hub() as hub:
        made: list[Signal] = []

        def request() -> None:
            for _ in range(150):
                signal = Signal()
                made.append(signal)
                outcomes.append(signal.wait(0.0002))
            outcomes.append("end")

        stop = threading.Event()

        def set_all() -> None:
            while not stop.is_set():
                while made:
                    made.pop().set()

        setters = [threading.Thread(target=set_all) for _ in range(2)]
        for setter in setters:
            setter.start()
        for _ in range(4):
            hub.spawn(request)
        run_until(hub, lambda: outcomes.count("end") == 4, 60)
        stop.set()
        for setter in setters:
            setter.join()
    assert len(outcomes) == 604


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
    monkeypatch.setattr(waiting, "_TIMERS", 10)
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
    monkeypatch.setattr(waiting, "_RUNNERS", 4)
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


def test_a_blocking_call_of_a_greenlet_runs_elsewhere_and_its_outcome_comes_back():
    outcomes = []

    def slow(value: int, *, fails: bool) -> tuple[int, str]:
        time.sleep(0.02)
        if fails:
            raise ValueError(value)
        return value, threading.current_thread().name

    def handle(number: int) -> None:
        try:
            outcomes.append(waiting.call(slow, number, fails=number % 2 == 1)[0])
        except ValueError as error:
            outcomes.append(error)

    with Hub() as hub:
        for number in range(8):
            hub.spawn(handle, number)
        assert outcomes == []
        run_until(hub, lambda: len(outcomes) == 8)
    assert sorted(str(outcome) for outcome in outcomes) == sorted(str(number) for number in range(8))


def test_a_blocking_call_of_a_thread_runs_in_it():
    assert waiting.call(threading.get_ident) == threading.get_ident()


def test_the_loop_itself_never_waits():
    with Hub() as hub:
        with pytest.raises(RuntimeError):
            Signal().wait(1)
        with pytest.raises(RuntimeError):
            hub.call(time.sleep, 0)


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


def test_a_thread_knows_only_its_own_hub():
    with Hub() as hub:
        assert waiting.here() is hub
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(waiting.here()))
        thread.start()
        thread.join()
        assert elsewhere == [None]
    assert waiting.here() is None
