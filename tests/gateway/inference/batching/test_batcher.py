"""A request that shares its call cannot tell: the contract of the batcher, case by case and at random."""

import asyncio
import contextlib
import copy
import gc
import random
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import uvloop

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Internal, InvalidArgument, NotFound, Setting, Unavailable
from gateway.inference import dtypes
from gateway.inference.batching.batcher import Batcher
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import row_layout
from gateway.inference.signature import ModelRef, Prediction, Signature, TensorSpec
from tests.gateway.inference.event_loop import on_loop, turns, until

LIMITS = BatchLimits(max_rows=16, max_in_flight=1, max_queued_rows=1000)
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

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[np.ndarray] = field(default_factory=list)
    rows_lost: int = 0
    error: GatewayError | None = None

    def __post_init__(self):
        self.gate.set()

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        x = inputs["x"]
        self.calls.append(x)
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining_s())):
                await self.gate.wait()
        except TimeoutError:
            raise deadline.exceeded() from None
        if self.error is not None:
            raise copy.copy(self.error)  # a new one for each call, as a client has it
        if (x == BAD).any():
            raise InvalidArgument(f"{np.argwhere(x == BAD).tolist()} is bad")
        return Prediction(
            model.name, model.version or 1, signature.name, {"y": self.without_lost(apply(model, signature.name, x))}
        )

    def without_lost(self, y):
        return y[self.rows_lost :] if self.rows_lost else y

    def numbers(self):
        return [call.ravel().tolist() for call in self.calls]


class Callers:
    """Calls, each from a task of its own."""

    def __init__(self, batcher):
        self.batcher = batcher
        self.tasks = []

    def start(self, *numbers, timeout_s=10.0, **named):
        x = np.array(numbers, np.int64).reshape(-1, 1)
        return self.start_with(x, timeout_s=timeout_s, **named)

    def start_with(self, x, model=ModelRef("m"), sig=SIGNATURE, timeout_s=10.0, outputs=()):  # noqa: B008
        call = self.batcher.predict(model, sig, {"x": x}, outputs, Deadline.after(timeout_s))
        self.tasks.append(asyncio.create_task(call))
        return self.tasks[-1]

    async def queue(self, *numbers, **named):
        """A call that waits its turn in the queue."""
        before = self.batcher._dispatcher._queued_rows
        task = self.start(*numbers, **named)
        await until(lambda: self.batcher._dispatcher._queued_rows > before)
        return task

    async def hold(self, *waiting):
        """One call in flight, and ``waiting`` (each the rows of a call) queued behind it in this order."""
        backend = self.batcher._backend
        backend.gate.clear()
        before = len(backend.calls)
        first = self.start(100)
        await until(lambda: len(backend.calls) == before + 1)
        return first, [await self.queue(*numbers) for numbers in waiting]


def unproven():
    """Records with which requests are joined without proof."""
    return Records(proofs=0)


@pytest.fixture
def backend():
    return FakeBackend()


@contextlib.asynccontextmanager
async def calling(backend, **limits):
    """Callers of a batcher, which holds nothing of them in the end."""
    batcher = Batcher(backend, replace(LIMITS, **limits), unproven())
    callers = Callers(batcher)
    yield callers
    await asyncio.gather(*callers.tasks, return_exceptions=True)
    await until(lambda: not batcher._dispatcher._tasks)
    assert batcher._dispatcher._queues == {}
    assert batcher._dispatcher._queued_rows == 0
    assert not batcher._dispatcher._timeouts._entries
    await batcher.close()


async def answer(task):
    return (await task).outputs["y"].ravel().tolist()


def alone(*numbers, model=ModelRef("m"), name="serving_default"):  # noqa: B008
    return apply(model, name, np.array(numbers, np.int64)).tolist()


@on_loop
async def test_a_lone_request_is_sent_within_two_turns_of_the_loop(backend):
    async with calling(backend) as callers:
        task = callers.start(1, 2)
        await turns(6)
        assert backend.numbers() == [[1, 2]]
        assert await answer(task) == alone(1, 2)


@on_loop
async def test_what_arrives_in_one_turn_of_the_loop_is_one_batch(backend):
    async with calling(backend) as callers:
        tasks = [callers.start(number) for number in range(10)]
        assert [await answer(task) for task in tasks] == [alone(number) for number in range(10)]
        assert backend.numbers() == [list(range(10))]


@on_loop
async def test_what_arrives_one_turn_later_is_in_the_batch_too(backend):
    async with calling(backend) as callers:
        first = callers.start(1)
        await turns(1)
        later = callers.start(2)
        assert [await answer(first), await answer(later)] == [alone(1), alone(2)]
        assert backend.numbers() == [[1, 2]]


@on_loop
async def test_a_full_batch_is_sent_at_once_and_the_rest_when_it_has_ended(backend):
    async with calling(backend) as callers:
        tasks = [callers.start(number) for number in range(20)]
        await turns(2)
        assert backend.numbers() == [list(range(16))]
        assert [await answer(task) for task in tasks] == [alone(number) for number in range(20)]
        assert backend.numbers() == [list(range(16)), [16, 17, 18, 19]]


@on_loop
async def test_what_arrives_while_a_call_is_in_flight_becomes_the_next_one(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2, 3], [4])
        backend.gate.set()
        assert await answer(first) == alone(100)
        assert [await answer(other) for other in others] == [alone(1), alone(2, 3), alone(4)]
        assert backend.numbers() == [[100], [1, 2, 3, 4]]


@on_loop
async def test_a_batch_is_sized_in_rows(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1] * 10, [2] * 10, [3] * 6)
        backend.gate.set()
        answers = [await answer(task) for task in (first, *others)]
        assert answers == [alone(100), alone(*[1] * 10), alone(*[2] * 10), alone(*[3] * 6)]
        assert [len(call) for call in backend.calls] == [1, 10, 16]


@on_loop
async def test_a_request_larger_than_a_batch_is_called_alone_at_once(backend):
    async with calling(backend) as callers:
        first, _ = await callers.hold()
        large = callers.start(*range(17))
        await until(lambda: len(backend.calls) == 2)
        backend.gate.set()
        assert await answer(large) == alone(*range(17))
        assert await answer(first) == alone(100)


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelRef("other")},
        {"model": ModelRef("m", version=2)},
        {"model": ModelRef("m", label="stable")},
        {"model": ModelRef("m", lane="baseline")},
        {"sig": signature("another")},
        {"outputs": ("y",)},
    ],
    ids=["model", "version", "label", "lane", "signature", "outputs"],
)
@on_loop
async def test_different_keys_never_share_a_call(backend, change):
    async with calling(backend) as callers:
        first, [other] = await callers.hold([1])
        different = callers.start(2, **change)
        await until(lambda: len(backend.calls) == 2)
        backend.gate.set()
        await asyncio.gather(first, other, different)
        assert sorted(backend.numbers()) == [[1], [2], [100]]


@on_loop
async def test_other_shapes_never_share_a_call(backend):
    async with calling(backend) as callers:
        first, [other] = await callers.hold([1])
        wide = callers.start_with(np.full((1, 2), 2))
        await until(lambda: len(backend.calls) == 2)
        backend.gate.set()
        assert (await wide).outputs["y"].shape == (1, 2)
        assert await answer(other) == alone(1)
        await first


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
@on_loop
async def test_what_does_not_fit_the_declaration_is_called_alone(backend, sig, x):
    async with calling(backend) as callers:
        backend.gate.clear()
        tasks = [callers.start_with(x, sig=sig) for _ in range(3)]
        await until(lambda: len(backend.calls) == 3)
        backend.gate.set()
        for task in tasks:
            assert (await task).outputs["y"].shape == x.shape


@on_loop
async def test_only_the_guilty_request_of_a_refused_batch_fails(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2, BAD], [3])
        backend.gate.set()
        assert await answer(others[0]) == alone(1)
        assert await answer(others[2]) == alone(3)
        with pytest.raises(InvalidArgument) as caught:
            await others[1]
        # The place is that of the request, not that of the batch.
        assert caught.value.message == "[[1, 0]] is bad"
        await first


@pytest.mark.parametrize("place", [0, 5, 15])
@on_loop
async def test_one_guilty_request_of_sixteen_is_found_by_halves(backend, place):
    numbers = [BAD if position == place else position for position in range(16)]
    async with calling(backend) as callers:
        tasks = [callers.start(number) for number in numbers]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.exception() is not None for task in tasks] == [number == BAD for number in numbers]
        assert [await answer(task) for task in tasks if not task.exception()] == [alone(n) for n in numbers if n != BAD]
    # The whole batch, and two halves on each of four levels.
    assert [len(call) for call in backend.calls] == [16, 8, 8, 4, 4, 2, 2, 1, 1]


@on_loop
async def test_a_model_that_fails_whatever_it_is_sent_is_called_little_more_often_than_for_each_request_alone(backend):
    backend.error = NotFound("gone")
    async with calling(backend, max_rows=64) as callers:
        tasks = [callers.start(number) for number in range(64)]
        for task in tasks:
            with pytest.raises(NotFound):
                await task
    # As many as find two requests, and then each of those that are left.
    assert 64 < len(backend.calls) <= 64 + 1 + 2 * 2 * 6


@on_loop
async def test_a_half_whose_requests_have_all_been_given_up_is_not_called(backend):
    async with calling(backend) as callers:
        backend.gate.clear()
        tasks = [callers.start(number) for number in (BAD, 1, 2, 3)]
        await until(lambda: backend.calls)
        for task in tasks[2:]:
            task.cancel()
        await turns(2)
        backend.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert backend.numbers() == [[BAD, 1, 2, 3], [BAD, 1], [BAD], [1]]


@on_loop
async def test_a_request_whose_deadline_passes_while_its_batch_is_halved_is_told_so_then(backend):
    async with calling(backend) as callers:
        gates = hold_from(backend, 2)
        early = callers.start(1, timeout_s=0.1)
        late = callers.start(2)
        bad = callers.start(BAD)
        with pytest.raises(DeadlineExceeded, match="100 ms"):
            await early
        assert len(backend.calls) == 2
        gates.set()
        assert await answer(late) == alone(2)
        with pytest.raises(InvalidArgument):
            await bad


def hold_from(backend, number):
    """Keeps the call of this number and the later ones until the event is set."""
    gate, run = asyncio.Event(), backend.predict

    async def held(*arguments, **spans):
        if len(backend.calls) + 1 >= number:
            backend.calls.append(arguments[2]["x"])
            await gate.wait()
            backend.calls.pop()
        return await run(*arguments, **spans)

    backend.predict = held
    return gate


@on_loop
async def test_any_error_that_the_content_may_have_caused_is_looked_into_alone(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])
        backend.error = Internal("the kernel failed")
        backend.gate.set()
        for task in (first, *others):
            with pytest.raises(Internal):
                await task
    assert sorted(len(call) for call in backend.calls) == [1, 1, 1, 2]


@on_loop
async def test_a_backend_that_is_away_is_not_called_again_for_each_request(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])
        backend.error = Unavailable("away", retry_after_s=7)
        backend.gate.set()
        raised = []
        for task in (first, *others):
            with pytest.raises(Unavailable) as caught:
                await task
            assert caught.value.retry_after_s == 7
            raised.append(caught.value)
    assert len(backend.calls) == 2
    # Not one error for all: each is raised by another task, which puts its own traceback on it.
    assert len({id(error) for error in (*raised, backend.error)}) == 4


@on_loop
async def test_an_error_holds_nothing_of_the_requests_that_shared_the_batch(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])
        backend.error = Unavailable("away")
        backend.gate.set()
        await asyncio.gather(first, *others, return_exceptions=True)
        errors = [other.exception() for other in others]
        for error, foreign in zip(errors, (2, 1), strict=True):
            frames, traceback = [], error.__traceback__
            while traceback is not None:
                frames.append(traceback.tb_frame)
                traceback = traceback.tb_next
            inputs = [frame.f_locals["inputs"]["x"].ravel().tolist() for frame in frames if "inputs" in frame.f_locals]
            assert inputs
            assert [foreign] not in inputs


@on_loop
async def test_an_error_leaves_no_cycle_for_the_garbage_collector(backend):
    async with calling(backend) as callers:
        backend.error = Unavailable("away")
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                with pytest.raises(Unavailable):
                    await callers.start(1, 2)
            callers.tasks.clear()
            await turns(3)
            alive = [thing for thing in gc.get_objects() if isinstance(thing, Unavailable)]
        finally:
            gc.enable()
        assert len(alive) <= 2  # the backend's own, and the one that pytest caught last


@on_loop
async def test_rows_are_never_handed_out_by_guess(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2, 3])
        backend.rows_lost = 1
        backend.gate.set()
        assert await answer(others[0]) == []
        assert await answer(others[1]) == alone(3)
        await first


@on_loop
async def test_one_that_times_out_in_the_queue_is_not_sent(backend):
    async with calling(backend) as callers:
        first, _ = await callers.hold()
        short = callers.start(1, timeout_s=0.05)
        with pytest.raises(DeadlineExceeded, match="50 ms"):
            await short
        other = await callers.queue(2)
        backend.gate.set()
        assert await answer(other) == alone(2)
        await first
        assert backend.numbers() == [[100], [2]]


@on_loop
async def test_one_that_is_cancelled_in_the_queue_is_not_sent(backend):
    async with calling(backend) as callers:
        first, [cancelled, other] = await callers.hold([1], [2])
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert callers.batcher._dispatcher._queued_rows == 1
        backend.gate.set()
        assert await answer(other) == alone(2)
        await first
        assert backend.numbers() == [[100], [2]]


@pytest.mark.parametrize("moment", range(8))
@on_loop
async def test_one_that_is_cancelled_at_any_moment_leaves_its_mates_alone(backend, moment):
    async with calling(backend) as callers:
        tasks = [callers.start(number) for number in (1, 2)]
        await turns(moment)
        tasks[0].cancel()
        assert await answer(tasks[1]) == alone(2)
        await asyncio.wait(tasks)
        assert tasks[0].cancelled() or await answer(tasks[0]) == alone(1)


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@on_loop
async def test_one_that_is_given_up_in_flight_leaves_its_mates_alone(backend, how):
    async with calling(backend) as callers:
        first, [patient] = await callers.hold([1])
        short = await callers.queue(2, timeout_s=0.3 if how == "timeout" else 10)
        gate = hold_from(backend, 2)
        backend.gate.set()
        await first
        await until(lambda: len(backend.calls) == 2)
        if how == "cancel":
            short.cancel()
        with pytest.raises((DeadlineExceeded, asyncio.CancelledError)):
            await short
        assert not patient.done()
        gate.set()
        assert await answer(patient) == alone(1)


@on_loop
async def test_a_full_queue_refuses_at_once(backend):
    async with calling(backend, max_queued_rows=3) as callers:
        first, others = await callers.hold([1], [2, 3])
        with pytest.raises(Unavailable, match="too many requests") as caught:
            await callers.start(4)
        assert caught.value.setting == Setting("GATEWAY_BATCH_MAX_QUEUED_ROWS", 3)
        with pytest.raises(Unavailable, match="too many requests"):
            await callers.start(4, model=ModelRef("another"))
        assert len(callers.batcher._dispatcher._queues) == 1
        backend.gate.set()
        assert [await answer(task) for task in (first, *others)] == [alone(100), alone(1), alone(2, 3)]


@on_loop
async def test_one_that_is_larger_than_the_queue_may_be_waits_in_it_alone(backend):
    async with calling(backend, max_queued_rows=3) as callers:
        assert await answer(callers.start(1, 2, 3, 4)) == alone(1, 2, 3, 4)
        backend.calls.clear()
        first, others = await callers.hold([1, 2, 3, 4])
        with pytest.raises(Unavailable, match="too many requests"):
            await callers.start(5)
        backend.gate.set()
        assert [await answer(task) for task in (first, *others)] == [alone(100), alone(1, 2, 3, 4)]


@on_loop
async def test_a_full_batch_joins_one_that_is_in_flight_and_others_wait(backend):
    backend.gate.clear()
    async with calling(backend, max_in_flight=2, max_rows=2) as callers:
        tasks = [callers.start(0)]
        await until(lambda: len(backend.calls) == 1)
        tasks.append(await callers.queue(1))
        await turns(5)
        assert len(backend.calls) == 1
        tasks.append(callers.start(2))
        await until(lambda: len(backend.calls) == 2)
        assert backend.calls[1].ravel().tolist() == [1, 2]
        tasks += [await callers.queue(number) for number in (3, 4)]
        await turns(5)
        assert len(backend.calls) == 2
        backend.gate.set()
        assert [await answer(task) for task in tasks] == [alone(number) for number in range(5)]


@on_loop
async def test_one_whose_deadline_comes_first_leaves_then_though_its_batch_has_more_time(backend):
    async with calling(backend) as callers:
        first, _ = await callers.hold()
        early = await callers.queue(1, timeout_s=0.2)
        late = await callers.queue(2)
        gate = hold_from(backend, 2)
        backend.gate.set()
        await first
        with pytest.raises(DeadlineExceeded, match="200 ms"):
            await early
        assert not late.done()
        gate.set()
        assert await answer(late) == alone(2)


@on_loop
async def test_deadlines_in_any_order_are_kept(backend):
    dice = random.Random(3)
    async with calling(backend) as callers:
        await callers.hold()
        loop, ended = asyncio.get_running_loop(), []
        for _ in range(40):
            timeout_s = dice.choice([0.02, 0.05, 0.1, 0.15])
            due_s = loop.time() + timeout_s  # the deadline is made just after it
            task = callers.start(1, timeout_s=timeout_s)
            task.add_done_callback(lambda _, due_s=due_s: ended.append(loop.time() - due_s))
        await until(lambda: len(ended) == 40)
        assert min(ended) > -0.01
        backend.gate.set()


@on_loop
async def test_a_failure_around_the_call_leaves_no_queue_behind(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])

        def broken(*arguments):
            raise OSError(28, "No space left on device")

        callers.batcher._dispatcher._calls._measure = broken
        backend.gate.set()
        assert [await answer(task) for task in (first, *others)] == [alone(100), alone(1), alone(2)]


@on_loop
async def test_a_bug_in_the_call_of_a_batch_costs_its_requests_nothing(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])
        run = backend.predict

        async def buggy(model, signature, inputs, outputs, deadline, *, spans=()):
            if len(inputs["x"]) == 2:
                raise ZeroDivisionError
            return await run(model, signature, inputs, outputs, deadline)

        backend.predict = buggy
        backend.gate.set()
        await first
        assert [await answer(other) for other in others] == [alone(1), alone(2)]


@on_loop
async def test_a_batcher_that_is_closed_ends_its_batches_and_calls_each_request_alone(backend):
    async with calling(backend) as callers:
        first, others = await callers.hold([1], [2])
        closing = asyncio.create_task(callers.batcher.close())
        await until(lambda: len(backend.calls) == 4)
        await closing
        backend.gate.set()
        assert [await answer(task) for task in (first, *others)] == [alone(100), alone(1), alone(2)]
        assert await answer(callers.start(3)) == alone(3)


@on_loop
async def test_a_batch_that_has_not_begun_when_the_batcher_is_closed_leaves_no_request_without_an_outcome(backend):
    async with calling(backend) as callers:
        tasks = [callers.start(number) for number in range(16)]
        await until(lambda: callers.batcher._dispatcher._tasks)
        await callers.batcher.close()
        assert [await answer(task) for task in tasks] == [alone(number) for number in range(16)]


class Watched(FakeBackend):
    """Takes a random time, and knows how many calls of a key are in flight."""

    def __init__(self, dice):
        super().__init__()
        self.dice = dice
        self.in_flight = Counter()
        self.most = Counter()

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        key = (model, signature, row_layout(inputs))
        self.in_flight[key] += 1
        self.most[key] = max(self.most[key], self.in_flight[key])
        try:
            await asyncio.sleep(self.dice.choice([0, 0, 0.001, 0.003]))
            return await super().predict(model, signature, inputs, outputs, deadline)
        finally:
            self.in_flight[key] -= 1


def queues_in_use(batcher, backend):
    """What must hold at any time: nothing is sent or waits but in a queue that the batcher knows, and it knows no others."""
    for key, queue in batcher._dispatcher._queues.items():
        assert not queue.is_unused
        assert queue.key == key
        assert queue.rows == sum(entry.rows for entry in queue.waiting)
        assert queue.in_flight <= batcher._dispatcher._limits.max_in_flight
    assert batcher._dispatcher._queued_rows == sum(queue.rows for queue in batcher._dispatcher._queues.values())
    known = {(kind.model, kind.signature, layout) for kind, layout in batcher._dispatcher._queues}
    assert {key for key, count in backend.in_flight.items() if count} <= known


@pytest.mark.parametrize("max_in_flight", [1, 2, 3])
@on_loop
async def test_at_random_no_key_has_more_calls_in_flight_than_it_may_and_no_queue_is_lost_or_kept(max_in_flight):
    """Bursts and lulls, so that queues come and go; requests that are refused, time out or are cancelled at any moment."""
    dice = random.Random(max_in_flight)
    backend = Watched(dice)
    # Only full batches are sent while another is in flight: so they are small here.
    async with calling(backend, max_in_flight=max_in_flight, max_queued_rows=40, max_rows=5) as callers:
        for number in range(3000):
            size = dice.choice([1, 1, 1, 2, 5])
            numbers = [BAD if dice.random() < 0.01 else number + row for row in range(size)]
            task = callers.start(
                *numbers, model=ModelRef(dice.choice("aab")), timeout_s=0.001 if dice.random() < 0.05 else 10.0
            )
            if dice.random() < 0.05:
                asyncio.get_running_loop().call_later(dice.choice([0, 0.001, 0.002]), task.cancel)
            if dice.random() < 0.4:
                await asyncio.sleep(dice.choice([0, 0, 0, 0.001, 0.002]))
                queues_in_use(callers.batcher, backend)
        await asyncio.gather(*callers.tasks, return_exceptions=True)
    assert set(backend.most.values()) == {max_in_flight}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("max_in_flight", [1, 3])
def test_at_random_every_answer_is_the_one_that_the_same_call_gets_alone(max_in_flight, new_loop):
    """Thousands of calls of random models, versions, signatures and shapes, with bad rows, time-outs, cancelled requests and
    errors of the backend."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(ask_at_random(max_in_flight))


async def ask_at_random(max_in_flight):
    dice = random.Random(20)

    class Unsteady(FakeBackend):
        async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
            await asyncio.sleep(dice.choice([0, 0, 0, 0.001, 0.008]))
            if dice.random() < 0.02:
                raise Unavailable("away")
            if dice.random() < 0.02:
                raise Internal("hiccup")
            if "matrix" in signature.name:
                # One number for the whole batch: must never be handed out.
                return Prediction(model.name, 1, signature.name, {"y": np.array(inputs["x"].sum())})
            return await super().predict(model, signature, inputs, outputs, deadline)

    batcher = Batcher(Unsteady(), BatchLimits(16, max_in_flight, 200), unproven())
    counts = Counter()
    wrong = []

    async def call(seed):
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
        if own.random() < 0.05:
            asyncio.get_running_loop().call_later(own.choice([0, 0.001, 0.004]), asyncio.current_task().cancel)
        try:
            y = (await batcher.predict(model, sig, {"x": x}, (), deadline)).outputs["y"]
        except InvalidArgument as error:
            counts["refused"] += 1
            if not is_bad or error.message != f"{np.argwhere(x == BAD).tolist()} is bad":
                wrong.append((x, error))
        except Unavailable:
            counts["unavailable"] += 1
        except DeadlineExceeded:
            counts["late"] += 1
            if deadline.budget_s > 1:
                wrong.append((x, "late"))
        except Internal:
            counts["hiccups"] += 1
        except asyncio.CancelledError:
            counts["cancelled"] += 1
        else:
            counts["answers"] += 1
            expected = np.array(x.sum()) if sig.name == "matrix" else apply(model, sig.name, x)
            if is_bad or y.shape != expected.shape or not np.array_equal(y, expected):
                wrong.append((x, y))

    seeds = iter(range(4000))

    async def client():
        for seed in seeds:
            with contextlib.suppress(asyncio.CancelledError):  # one that comes when its call has ended
                await asyncio.create_task(call(seed))

    await asyncio.gather(*[client() for _ in range(48)])
    assert wrong == []
    assert sum(counts.values()) == 4000
    assert counts["answers"] > 3000
    assert len(counts) == 6, counts
    assert batcher._dispatcher._queues == {}
    assert batcher._dispatcher._queued_rows == 0
    assert not batcher._dispatcher._timeouts._entries
    await batcher.close()
