"""Nobody can tell that a request shared its call: the contract of the batcher, case by case and at random."""

import random
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Internal, InvalidArgument, Setting, Unavailable
from gateway.hub import Hub
from gateway.inference import dtypes
from gateway.inference.batching.batcher import Batcher, BatchLimits
from gateway.inference.batching.record import Records
from gateway.inference.signature import ModelRef, Prediction, Signature, TensorSpec
from tests.waiting import wait_for

LIMITS = BatchLimits(max_rows=16, max_wait_s=0.0, max_in_flight=1, max_queued_rows=1000)
FREE = (None, None)


def signature(name="serving_default", shape=FREE, dtype=dtypes.INT64):
    spec = TensorSpec("x", dtype, shape)
    return Signature(name, "tensorflow/serving/predict", (spec,), (spec,))


SIGNATURE = signature()
BAD = -1  # a number that the model of these tests refuses


def apply(model: ModelRef, name: str, x: np.ndarray) -> np.ndarray:
    """Row-wise, and another function for each model, version and signature."""
    salt = abs(hash((model.name, model.version, name))) % 1000
    return x * 3 + salt


@dataclass
class FakeBackend:
    """Answers when ``gate`` is open; refuses a batch that holds BAD, as a model would: whole."""

    gate: threading.Event = field(default_factory=threading.Event)
    calls: list[np.ndarray] = field(default_factory=list)
    rows_lost: int = 0
    error: GatewayError | None = None

    def __post_init__(self):
        self.gate.set()

    def predict(self, model, signature, inputs, outputs, deadline):
        x = inputs["x"]
        self.calls.append(x)
        if not self.gate.wait(min(10.0, max(0.0, deadline.at_s - time.monotonic()))):
            raise deadline.exceeded()
        if self.error is not None:
            raise self.error
        if (x == BAD).any():
            raise InvalidArgument(f"{np.argwhere(x == BAD).tolist()} is bad")
        return Prediction(
            model.name, model.version or 1, signature.name, {"y": self.without_lost(apply(model, signature.name, x))}
        )

    def without_lost(self, y):
        return y[self.rows_lost :] if self.rows_lost else y


class Callers:
    """Calls from threads of their own."""

    def __init__(self, batcher):
        self.batcher = batcher
        self.pool = ThreadPoolExecutor(64)

    def start(self, *numbers, model=ModelRef("m"), sig=SIGNATURE, timeout_s=10.0, outputs=()):  # noqa: B008
        x = np.array(numbers, np.int64).reshape(-1, 1)
        return self.pool.submit(self.batcher.predict, model, sig, {"x": x}, outputs, Deadline.after(timeout_s))


def unproven():
    """Records with which requests are joined without proof."""
    return Records(proofs=0)


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def batcher(backend):
    return Batcher(backend, LIMITS, unproven())


@contextmanager
def calling(batcher):
    """Callers of ``batcher``, which holds nothing of them in the end."""
    callers = Callers(batcher)
    try:
        yield callers
    finally:
        callers.pool.shutdown()
    assert batcher._lanes == {}
    assert batcher._queued_rows == 0


@pytest.fixture
def callers(batcher):
    with calling(batcher) as callers:
        yield callers


@pytest.fixture
def small_queue(backend):
    """A batcher in which three rows may wait."""
    return Batcher(backend, replace(LIMITS, max_queued_rows=3), unproven())


def queued(batcher):
    return batcher._queued_rows


def hold(backend, batcher, callers, *waiting):
    """One call in flight, and ``waiting`` (each the arguments of a call) queued behind it in this order."""
    backend.gate.clear()
    first = callers.start(100)
    wait_for(lambda: len(backend.calls) == 1)
    return first, [enqueue(batcher, callers, *numbers) for numbers in waiting]


def enqueue(batcher, callers, *numbers, **named):
    """A call that waits its turn in the queue."""
    before = queued(batcher)
    future = callers.start(*numbers, **named)
    wait_for(lambda: queued(batcher) > before)
    return future


def hold_calls(backend):
    """Keeps every further call from ``backend``, ten seconds at most; the event lets them through."""
    gate, run = threading.Event(), backend.predict

    def held(*arguments):
        gate.wait(10)
        return run(*arguments)

    backend.predict = held
    return gate


def answer(future):
    return future.result(15).outputs["y"].ravel().tolist()


def alone(*numbers, model=ModelRef("m"), name="serving_default"):  # noqa: B008
    return apply(model, name, np.array(numbers, np.int64)).tolist()


def test_a_lone_request_goes_at_once(callers, backend):
    assert answer(callers.start(1, 2)) == alone(1, 2)
    assert len(backend.calls) == 1


def test_what_arrives_while_a_call_is_in_flight_becomes_the_next_one(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2, 3], [4])
    backend.gate.set()
    assert answer(first) == alone(100)
    assert [answer(other) for other in others] == [alone(1), alone(2, 3), alone(4)]
    assert [call.ravel().tolist() for call in backend.calls] == [[100], [1, 2, 3, 4]]


def test_a_batch_is_sized_in_rows(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1] * 10, [2] * 10, [3] * 6)
    backend.gate.set()
    assert [answer(future) for future in (first, *others)] == [alone(100), alone(*[1] * 10), alone(*[2] * 10), alone(*[3] * 6)]
    assert [len(call) for call in backend.calls] == [1, 10, 16]


def test_a_request_larger_than_a_batch_goes_alone(callers, batcher, backend):
    first, _ = hold(backend, batcher, callers)
    large = callers.start(*range(17))
    wait_for(lambda: len(backend.calls) == 2)
    backend.gate.set()
    assert answer(large) == alone(*range(17))
    assert answer(first) == alone(100)


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelRef("other")},
        {"model": ModelRef("m", version=2)},
        {"model": ModelRef("m", label="stable")},
        {"sig": signature("another")},
        {"outputs": ("y",)},
    ],
    ids=["model", "version", "label", "signature", "outputs"],
)
def test_different_keys_never_share_a_call(callers, batcher, backend, change):
    first, [other] = hold(backend, batcher, callers, [1])
    different = callers.start(2, **change)
    wait_for(lambda: len(backend.calls) == 2)
    backend.gate.set()
    for future in (first, other, different):
        future.result(15)
    assert sorted(call.ravel().tolist() for call in backend.calls) == [[1], [2], [100]]


def test_other_shapes_never_share_a_call(callers, batcher, backend):
    first, [other] = hold(backend, batcher, callers, [1])
    wide = callers.pool.submit(batcher.predict, ModelRef("m"), SIGNATURE, {"x": np.full((1, 2), 2)}, (), Deadline.after(10))
    wait_for(lambda: len(backend.calls) == 2)
    backend.gate.set()
    assert wide.result(15).outputs["y"].shape == (1, 2)
    assert answer(other) == alone(1)
    first.result(15)


@pytest.mark.parametrize(
    ("sig", "x"),
    [
        (signature(shape=(None, 2)), np.zeros((1, 3), np.int64)),
        (signature(shape=(None, 2)), np.zeros(2, np.int64)),
        (signature(shape=(4, 2)), np.zeros((4, 2), np.int64)),
        (signature(shape=()), np.array(4, np.int64)),
        (signature(), np.zeros((1, 1), np.float32)),
        (signature(), np.zeros((0, 1), np.int64)),
    ],
    ids=["other size", "other rank", "fixed batch", "a scalar", "other dtype", "no rows"],
)
def test_what_does_not_fit_the_declaration_goes_alone(batcher, backend, callers, sig, x):
    backend.gate.clear()
    futures = [callers.pool.submit(batcher.predict, ModelRef("m"), sig, {"x": x}, (), Deadline.after(10)) for _ in range(3)]
    wait_for(lambda: len(backend.calls) == 3)
    backend.gate.set()
    for future in futures:
        assert future.result(15).outputs["y"].shape == x.shape


def test_only_the_guilty_member_of_a_refused_batch_fails(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2, BAD], [3])
    backend.gate.set()
    assert answer(others[0]) == alone(1)
    assert answer(others[2]) == alone(3)
    with pytest.raises(InvalidArgument) as caught:
        answer(others[1])
    # The place is that of the request, not that of the batch.
    assert caught.value.message == "[[1, 0]] is bad"
    answer(first)


def test_any_error_that_the_content_may_have_caused_is_looked_into_alone(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2])
    backend.error = Internal("the kernel failed")
    backend.gate.set()
    for future in (first, *others):
        with pytest.raises(Internal):
            answer(future)
    assert sorted(len(call) for call in backend.calls) == [1, 1, 1, 2]


def test_a_backend_that_is_away_is_not_called_again_for_each_member(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2])
    backend.error = Unavailable("away", retry_after_s=7)
    backend.gate.set()
    for future in (first, *others):
        with pytest.raises(Unavailable) as caught:
            answer(future)
        assert caught.value.retry_after_s == 7
    assert len(backend.calls) == 2


def test_rows_are_never_handed_out_by_guess(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2, 3])
    backend.rows_lost = 1
    backend.gate.set()
    assert answer(others[0]) == []
    assert answer(others[1]) == alone(3)
    answer(first)


def test_one_that_gives_up_in_the_queue_is_not_sent(callers, batcher, backend):
    first, _ = hold(backend, batcher, callers)
    short = callers.start(1, timeout_s=0.05)
    with pytest.raises(DeadlineExceeded, match="50 ms"):
        answer(short)
    other = enqueue(batcher, callers, 2)
    backend.gate.set()
    assert answer(other) == alone(2)
    answer(first)
    assert [call.ravel().tolist() for call in backend.calls] == [[100], [2]]


def test_one_that_gives_up_in_flight_leaves_its_mates_alone(callers, batcher, backend):
    first, [patient] = hold(backend, batcher, callers, [1])
    short = enqueue(batcher, callers, 2, timeout_s=0.5)
    second_gate = hold_calls(backend)
    backend.gate.set()
    answer(first)
    with pytest.raises(DeadlineExceeded):
        answer(short)
    second_gate.set()
    assert answer(patient) == alone(1)


def test_a_full_queue_refuses_at_once(small_queue, backend):
    with calling(small_queue) as callers:
        first, others = hold(backend, small_queue, callers, [1], [2, 3])
        with pytest.raises(Unavailable, match="too many requests") as caught:
            answer(callers.start(4))
        assert caught.value.setting == Setting("GATEWAY_BATCH_MAX_QUEUED_ROWS", 3)
        backend.gate.set()
        assert [answer(future) for future in (first, *others)] == [alone(100), alone(1), alone(2, 3)]


def test_one_that_is_larger_than_the_queue_may_be_waits_in_it_alone(small_queue, backend):
    with calling(small_queue) as callers:
        assert answer(callers.start(1, 2, 3, 4)) == alone(1, 2, 3, 4)
        backend.calls.clear()
        first, others = hold(backend, small_queue, callers, [1, 2, 3, 4])
        with pytest.raises(Unavailable, match="too many requests"):
            answer(callers.start(5))
        backend.gate.set()
        assert [answer(future) for future in (first, *others)] == [alone(100), alone(1, 2, 3, 4)]


def test_a_thread_that_joins_a_lane_of_the_loop_wakes_the_loop(backend):
    batcher = Batcher(backend, replace(LIMITS, max_wait_s=5.0, max_in_flight=2), unproven())
    backend.gate.clear()
    answers = []
    with calling(batcher) as callers, Hub() as hub:
        call = (ModelRef("m"), SIGNATURE, {"x": np.array([[1]], np.int64)}, (), Deadline.after(10.0))
        hub.spawn(lambda: answers.append(batcher.predict(*call)))
        hub.run_idle()
        wait_for(lambda: len(backend.calls) == 1)
        assert hub.fall_asleep(10.0) > 1.0
        second = callers.start(2)
        assert select.select([hub.fileno()], [], [], 5.0)[0]
        hub.wake_up()
        hub.drain()
        hub.run_due()
        hub.run_idle()
        wait_for(lambda: len(backend.calls) == 2)
        backend.gate.set()
        assert answer(second) == alone(2)
        wait_for(lambda: hub.run_due() or answers)


def test_several_batches_may_be_in_flight(backend):
    batcher = Batcher(backend, replace(LIMITS, max_in_flight=2), unproven())
    backend.gate.clear()
    with calling(batcher) as callers:
        futures = []
        for number in range(2):
            futures.append(callers.start(number))
            wait_for(lambda: len(backend.calls) == len(futures))
        futures.append(enqueue(batcher, callers, 2))
        backend.gate.set()
        assert [answer(future) for future in futures] == [alone(0), alone(1), alone(2)]


def test_one_whose_deadline_comes_first_leaves_then_though_the_call_is_that_of_its_batch(callers, batcher, backend):
    """The first who waits has the earliest deadline, and its batch is called under the latest one."""
    first, _ = hold(backend, batcher, callers)
    early = enqueue(batcher, callers, 1, timeout_s=1.0)
    late = enqueue(batcher, callers, 2)
    second_gate = hold_calls(backend)
    backend.gate.set()
    answer(first)
    with pytest.raises(DeadlineExceeded, match="1000 ms"):
        answer(early)
    assert not late.done()
    second_gate.set()
    assert answer(late) == alone(2)


def test_a_failure_around_the_call_leaves_no_lane_behind(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2])

    def broken(*arguments):
        raise OSError(28, "No space left on device")

    batcher._calls._measure = broken
    backend.gate.set()
    assert [answer(future) for future in (first, *others)] == [alone(100), alone(1), alone(2)]


def test_a_bug_in_the_call_of_a_batch_costs_its_members_nothing(callers, batcher, backend):
    first, others = hold(backend, batcher, callers, [1], [2])
    run = backend.predict

    def buggy(model, signature, inputs, outputs, deadline):
        if len(inputs["x"]) == 2:
            raise ZeroDivisionError
        return run(model, signature, inputs, outputs, deadline)

    backend.predict = buggy
    backend.gate.set()
    answer(first)
    assert [answer(other) for other in others] == [alone(1), alone(2)]


@pytest.mark.parametrize("max_in_flight", [1, 3])
@pytest.mark.parametrize("max_wait_s", [0.0, 0.002])
def test_at_random_every_answer_is_the_one_that_the_same_call_gets_alone(max_in_flight, max_wait_s):
    """Thousands of calls of random models, versions, signatures and shapes, with bad members, time-outs and backend errors."""
    dice = random.Random(20)

    class Unsteady(FakeBackend):
        def predict(self, model, signature, inputs, outputs, deadline):
            time.sleep(dice.choice([0, 0, 0, 0.001, 0.008]))
            if dice.random() < 0.02:
                raise Unavailable("away")
            if dice.random() < 0.02:
                raise Internal("hiccup")
            if "matrix" in signature.name:
                # One number for the whole batch: must never be handed out.
                return Prediction(model.name, 1, signature.name, {"y": np.array(inputs["x"].sum())})
            return super().predict(model, signature, inputs, outputs, deadline)

    batcher = Batcher(Unsteady(), BatchLimits(16, max_wait_s, max_in_flight, 200), unproven())
    counts = {"answers": 0, "refused": 0, "unavailable": 0, "late": 0, "hiccups": 0}
    wrong = []
    lock = threading.Lock()

    def note(kind):
        with lock:
            counts[kind] += 1

    def call(seed):
        own = random.Random(seed)
        model = ModelRef(own.choice("aaab"), own.choice([None, None, None, 1]))
        sig = signature(own.choice(["one", "one", "one", "two", "matrix"]))
        x = np.array([own.randrange(10**6) for _ in range(own.choice([1, 1, 1, 2, 5, 20]) * 2)]).reshape(
            -1, own.choice([1, 1, 1, 2])
        )
        is_bad = own.random() < 0.05 and sig.name != "matrix"
        if is_bad:
            x[own.randrange(len(x)), 0] = BAD
        deadline = Deadline.after(0.001 if own.random() < 0.1 else 30)
        try:
            y = batcher.predict(model, sig, {"x": x}, (), deadline).outputs["y"]
        except InvalidArgument as error:
            note("refused")
            if not is_bad or error.message != f"{np.argwhere(x == BAD).tolist()} is bad":
                wrong.append((x, error))
        except Unavailable:
            note("unavailable")
        except DeadlineExceeded:
            note("late")
            if deadline.budget_s > 1:
                wrong.append((x, "late"))
        except Internal:
            note("hiccups")
        else:
            note("answers")
            expected = np.array(x.sum()) if sig.name == "matrix" else apply(model, sig.name, x)
            if is_bad or y.shape != expected.shape or not np.array_equal(y, expected):
                wrong.append((x, y))

    with ThreadPoolExecutor(48) as pool:
        list(pool.map(call, range(4000), timeout=90))
    assert wrong == []
    assert sum(counts.values()) == 4000
    assert counts["answers"] > 3000
    assert all(counts.values()), counts
    assert batcher._lanes == {}
    assert batcher._queued_rows == 0
