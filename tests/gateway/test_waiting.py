"""Waiting in threads and in greenlets: the same contract, and one greenlet's wait keeps no other from running."""

import threading
import time

import pytest

from gateway import waiting
from gateway.hub import Hub
from gateway.waiting import Signal
from tests.waiting import run_until


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
    calls = []
    with Hub():
        with pytest.raises(RuntimeError):
            Signal().wait(1)
        with pytest.raises(RuntimeError):
            waiting.call(calls.append, "elsewhere")
    assert calls == []


def test_a_thread_knows_only_its_own_hub():
    with Hub() as hub:
        assert waiting.here() is hub
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(waiting.here()))
        thread.start()
        thread.join()
        assert elsewhere == [None]
    assert waiting.here() is None
