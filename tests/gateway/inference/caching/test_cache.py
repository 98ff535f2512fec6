"""Keeping and sharing answers changes no answer and no error: case by case."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, ResourceExhausted, Unavailable
from gateway.inference.caching.cache import PredictionCache, Question
from gateway.inference.caching.key import LARGE_BYTES
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature
from gateway.telemetry.trace import Trace
from tests.event_loop import CountingThreads, on_loop, until

LATEST = ModelRef("m")


class FakeCatalog:
    """Knows what the test says: ``latest`` by model, ``labels`` by label, whatever the server may do."""

    def __init__(self):
        self.versions = {("m", number): ServedModel("m", number, {}) for number in (1, 2)}
        self.latest = {"m": 1}
        self.labels = {"stable": 1}

    def served(self, model):
        number = model.version or self.labels.get(model.label) or self.latest[model.name]
        return self.versions[model.name, number]


@dataclass
class FakeBackend:
    """Answers ``x + version`` when ``gate`` is open, with a view on something large; the next calls may fail."""

    latest: int = 1
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[tuple] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    batch_rows: int = 0

    def __post_init__(self):
        self.gate.set()

    async def predict(self, question, deadline):
        number = question.model.version or self.latest
        x = question.inputs["x"]
        failure = self.failures.pop(0) if self.failures else None
        self.calls.append((number, question.signature.name, x.tolist(), question.outputs))
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await self.gate.wait()
                await asyncio.sleep(0)  # a call takes a moment, also when the gate is open
        except TimeoutError:
            raise deadline.exceeded() from None
        if failure is not None:
            raise failure
        y = x if x.dtype.hasobject else x + number
        batch = np.concatenate([y, np.zeros((10_000, *y.shape[1:]), y.dtype)])
        return Prediction(question.model.name, number, question.signature.name, {"y": batch[: len(y)]}, 0.25, self.batch_rows)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Callers:
    """Asks the cache, here or in tasks of their own; every call gives its trace and its outcome."""

    def __init__(self, max_bytes=1 << 20):
        self.catalog, self.backend, self.clock = FakeCatalog(), FakeBackend(), Clock()
        self.store = CacheStore({"m": CacheLimits(100, 60.0)}, max_bytes, self.clock)
        self.trusts_batches = True
        self.news = []
        self.cache = PredictionCache(self.store, self.trusts, self.take_news)

    def trusts(self, prediction):
        return self.trusts_batches or not prediction.is_shared

    def take_news(self):
        while self.news:
            self.news.pop()()

    async def ask(self, x=1.0, model=LATEST, name="serving_default", outputs=(), timeout_s=10.0):
        x = x if isinstance(x, np.ndarray) else np.array([x])
        question = Question(model, self.catalog.served(model), Signature(name, "p", (), ()), {"x": x}, outputs)
        trace, deadline = Trace(model.name, name), Deadline.after(timeout_s)
        try:
            return trace, await self.cache.answer(question, trace, deadline, lambda: self.backend.predict(question, deadline))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return trace, error

    async def how(self, *args, **kwargs):
        """Where the answer came from, and which version gave it."""
        trace, outcome = await self.ask(*args, **kwargs)
        assert isinstance(outcome, Prediction), outcome
        return trace.cache, outcome.version

    def start(self, *args, **kwargs):
        return asyncio.create_task(self.ask(*args, **kwargs))

    async def hold(self, count, *args, **kwargs):
        """A call that the gate holds, and ``count - 1`` more that ask the same and wait for it."""
        self.backend.gate.clear()
        calls, waiting = len(self.backend.calls), self.cache._calls.waiting
        tasks = [self.start(*args, **kwargs) for _ in range(count)]
        await until(lambda: len(self.backend.calls) == calls + 1 and self.cache._calls.waiting == waiting + count - 1)
        return tasks


@asynccontextmanager
async def calling(**kwargs):
    callers = Callers(**kwargs)
    yield callers
    callers.backend.gate.set()
    await until(lambda: len(callers.cache._calls) == 0)


async def finished(tasks):
    return await asyncio.gather(*tasks)


@on_loop
async def test_the_same_question_is_answered_without_a_call():
    async with calling() as callers:
        _, first = await callers.ask(3.0)
        trace, second = await callers.ask(3.0)
        assert first.outputs["y"].tolist() == second.outputs["y"].tolist() == [4.0]
        assert len(callers.backend.calls) == 1
        assert (trace.cache, trace.queue_s) == ("hit", 0.0)


@pytest.mark.parametrize(
    "other",
    [
        {"x": 2.0},
        {"x": -0.0},
        {"x": np.array([0.0, 0.0])},
        {"x": np.array([[0.0]])},
        {"x": np.array([0.0], np.float32)},
        {"x": np.array([b"0"], object)},
        {"name": "other"},
        {"outputs": ("y",)},
        {"model": ModelRef("m", version=2)},
    ],
    ids=str,
)
@on_loop
async def test_whatever_differs_is_another_question(other):
    async with calling() as callers:
        one = ModelRef("m", version=1)
        question = {"x": 0.0, "model": one} | other
        await callers.ask(0.0, one)
        assert (await callers.how(**question))[0] == "miss"
        assert (await callers.how(**question))[0] == "hit"
        assert (await callers.how(0.0, one))[0] == "hit"


@on_loop
async def test_strings_are_answered_from_before():
    async with calling() as callers:
        text = np.array([b"a", b"bc"], object)
        await callers.ask(text)
        assert await callers.how(text.copy()) == ("hit", 1)
        assert await callers.how(np.array([b"ab", b"c"], object)) == ("miss", 1)


@on_loop
async def test_a_large_question_is_read_in_a_thread():
    async with calling() as callers:
        threads = CountingThreads(1)
        asyncio.get_running_loop().set_default_executor(threads)
        assert await callers.how(np.zeros(LARGE_BYTES // 8)) == ("miss", 1)
        assert threads.asked == 0
        for asked, how in ((1, "miss"), (2, "hit")):
            assert await callers.how(np.zeros(LARGE_BYTES // 8 + 1)) == (how, 1)
            assert threads.asked == asked


@on_loop
async def test_the_answer_is_forgotten_after_its_seconds():
    async with calling() as callers:
        await callers.ask()
        callers.clock.now_s += 60
        assert await callers.how() == ("miss", 1)


@on_loop
async def test_a_request_that_names_the_version_gets_the_answer_of_one_that_does_not_and_the_other_way():
    async with calling() as callers:
        await callers.ask(1.0)
        assert await callers.how(1.0, ModelRef("m", version=1)) == ("hit", 1)
        await callers.ask(2.0, ModelRef("m", version=1))
        assert await callers.how(2.0) == ("hit", 1)


@on_loop
async def test_what_is_too_large_is_not_kept_and_still_shared():
    async with calling(max_bytes=65_536) as small:
        large = np.zeros(2000)
        tasks = await small.hold(4, large)
        small.backend.gate.set()
        assert {outcome.outputs["y"].shape for _, outcome in await finished(tasks)} == {(2000,)}
        assert await small.how(large) == ("miss", 1)
        assert len(small.backend.calls) == 2


@on_loop
async def test_what_is_kept_is_no_view_on_a_batch_and_cannot_be_changed():
    async with calling() as callers:
        for _ in range(2):
            _, prediction = await callers.ask()
            assert prediction.outputs["y"].base is None
            with pytest.raises(ValueError, match="read-only"):
                prediction.outputs["y"][0] = 7.0


@on_loop
async def test_an_answer_cut_from_a_batch_that_is_not_proven_is_not_kept():
    async with calling() as callers:
        callers.trusts_batches = False
        callers.backend.batch_rows = 8
        assert [await callers.how(1.0) for _ in range(2)] == [("miss", 1)] * 2
        callers.backend.batch_rows = 0
        assert [await callers.how(1.0) for _ in range(2)] == [("miss", 1), ("hit", 1)]


@on_loop
async def test_answers_cut_from_batches_are_dropped_when_the_model_is_not_joined_any_more():
    async with calling() as callers:
        await callers.how(1.0)
        callers.backend.batch_rows = 8
        await callers.how(2.0)
        callers.cache.forget("m")
        callers.cache.forget("uncached")
        callers.backend.batch_rows = 0
        assert [await callers.how(x) for x in (1.0, 2.0)] == [("hit", 1), ("miss", 1)]


@on_loop
async def test_a_verdict_of_another_worker_is_taken_before_a_kept_answer_is_given():
    async with calling() as callers:
        callers.backend.batch_rows = 8
        await callers.how(1.0)
        callers.backend.batch_rows = 0
        callers.news.append(lambda: callers.cache.forget("m"))
        assert [await callers.how(1.0) for _ in range(2)] == [("miss", 1), ("hit", 1)]


@on_loop
async def test_identical_questions_that_come_together_share_one_call():
    async with calling() as callers:
        tasks = await callers.hold(8)
        callers.backend.gate.set()
        traces, predictions = zip(*await finished(tasks), strict=True)
        assert len(callers.backend.calls) == 1
        assert [trace.cache for trace in traces] == ["miss"] + ["shared"] * 7
        assert {prediction.outputs["y"].tolist()[0] for prediction in predictions} == {2.0}
        assert all(trace.queue_s > 0.0 for trace in traces[1:])


@on_loop
async def test_different_questions_do_not_wait_for_each_other():
    async with calling() as callers:
        await callers.hold(2, 1.0)
        waiting = callers.start(2.0)
        await until(lambda: len(callers.backend.calls) == 2)
        callers.backend.gate.set()
        assert (await waiting)[0].cache == "miss"


@pytest.mark.parametrize("error", [InvalidArgument, FailedPrecondition, Internal, ResourceExhausted])
@on_loop
async def test_an_error_is_not_kept_and_those_that_waited_ask_for_themselves(error):
    async with calling() as callers:
        callers.backend.failures = [error("mine")]
        tasks = await callers.hold(5)
        callers.backend.gate.set()
        (_, first), *rest = await finished(tasks)
        assert isinstance(first, error)
        assert [(trace.cache, outcome.version) for trace, outcome in rest] == [("miss", 1)] * 4
        assert await callers.how() == ("hit", 1)


@on_loop
async def test_what_nobody_foresaw_is_only_its_own_callers():
    async with calling() as callers:
        callers.backend.failures = [ZeroDivisionError("mine")]
        tasks = await callers.hold(3)
        callers.backend.gate.set()
        (_, first), *rest = await finished(tasks)
        assert isinstance(first, ZeroDivisionError)
        assert all(outcome.version == 1 for _, outcome in rest)


@on_loop
async def test_a_server_that_is_away_is_asked_once_for_all_and_the_answer_is_not_kept():
    async with calling() as callers:
        callers.backend.failures = [Unavailable("away", retry_after_s=7)]
        tasks = await callers.hold(6)
        callers.backend.gate.set()
        errors = [outcome for _, outcome in await finished(tasks)]
        assert [(str(error), error.retry_after_s) for error in errors] == [("away", 7)] * 6
        assert len({id(error) for error in errors}) == 6
        assert len(callers.backend.calls) == 1
        assert await callers.how() == ("miss", 1)


@on_loop
async def test_a_caller_with_little_time_does_not_take_the_others_down():
    async with calling() as callers:
        callers.backend.gate.clear()
        hasty = callers.start(timeout_s=0.3)
        await until(lambda: len(callers.backend.calls) == 1)
        others = [callers.start() for _ in range(5)]
        await until(lambda: callers.cache._calls.waiting == 5)
        assert isinstance((await hasty)[1], DeadlineExceeded)
        await until(lambda: len(callers.backend.calls) == 2)
        await until(lambda: callers.cache._calls.waiting == 4)
        callers.backend.gate.set()
        outcomes = await finished(others)
        assert sorted(trace.cache for trace, _ in outcomes) == ["miss"] + ["shared"] * 4
        assert {outcome.version for _, outcome in outcomes} == {1}
        assert len(callers.backend.calls) == 2


@on_loop
async def test_one_that_waits_has_a_deadline_of_its_own():
    async with calling() as callers:
        tasks = await callers.hold(3)
        trace, outcome = await callers.ask(timeout_s=0.05)
        assert isinstance(outcome, DeadlineExceeded)
        assert "50 ms" in outcome.message
        assert (trace.cache, callers.cache._calls.waiting) == ("shared", 2)
        callers.backend.gate.set()
        assert [outcome.version for _, outcome in await finished(tasks)] == [1, 1, 1]


@on_loop
async def test_one_whose_time_is_up_before_it_waits_is_told_so():
    async with calling() as callers:
        await callers.hold(1)
        assert isinstance((await callers.ask(timeout_s=-1.0))[1], DeadlineExceeded)
        callers.backend.gate.set()


@on_loop
async def test_a_caller_that_is_cancelled_leaves_the_call_to_the_next():
    async with calling() as callers:
        first, *rest = await callers.hold(5)
        first.cancel()
        await until(lambda: len(callers.backend.calls) == 2 and callers.cache._calls.waiting == 3)
        callers.backend.gate.set()
        outcomes = await finished(rest)
        assert first.cancelled()
        assert [outcome.version for _, outcome in outcomes] == [1] * 4
        assert sorted(trace.cache for trace, _ in outcomes) == ["miss"] + ["shared"] * 3
        assert len(callers.backend.calls) == 2


@on_loop
async def test_one_that_waits_and_is_cancelled_is_noticed_by_nobody():
    async with calling() as callers:
        first, second, third = await callers.hold(3)
        second.cancel()
        await until(lambda: callers.cache._calls.waiting == 1)
        callers.backend.gate.set()
        assert [(trace.cache, outcome.version) for trace, outcome in await finished([first, third])] == [
            ("miss", 1),
            ("shared", 1),
        ]
        assert len(callers.backend.calls) == 1


@on_loop
async def test_while_the_model_hangs_one_at_a_time_calls_and_each_ends_in_its_own_time():
    async with calling() as callers:
        callers.backend.gate.clear()
        tasks = [callers.start(timeout_s=0.2 + 0.03 * number) for number in range(8)]
        outcomes = [outcome for _, outcome in await finished(tasks)]
        assert all(isinstance(outcome, DeadlineExceeded) for outcome in outcomes)
        assert len(callers.backend.calls) <= 8


@on_loop
async def test_requests_for_a_version_do_not_share_the_call_of_one_that_left_it_open():
    """The open one may be answered by a version that has come meanwhile."""
    async with calling() as callers:
        tasks = await callers.hold(2)
        pinned = callers.start(model=ModelRef("m", version=1))
        await until(lambda: len(callers.backend.calls) == 2)
        callers.backend.gate.set()
        assert (await pinned)[1].version == 1
        await finished(tasks)


@on_loop
async def test_a_new_version_does_not_answer_with_an_old_ones_answer():
    async with calling() as callers:
        await callers.ask()
        callers.backend.latest = callers.catalog.latest["m"] = 2
        assert await callers.how() == ("miss", 2)
        assert await callers.how() == ("hit", 2)
        assert await callers.how(model=ModelRef("m", version=1)) == ("hit", 1)


@on_loop
async def test_once_a_new_version_has_answered_the_old_one_does_not_although_the_catalog_is_behind():
    async with calling() as callers:
        await callers.ask(1.0)
        await callers.ask(2.0)
        callers.backend.latest = 2
        assert await callers.how(1.0) == ("hit", 1)  # nobody here has heard of version 2
        assert await callers.how(3.0) == ("miss", 2)
        assert await callers.how(1.0) == await callers.how(2.0) == await callers.how(3.0) == ("miss", 2)
        callers.catalog.latest["m"] = 2
        assert await callers.how(1.0) == ("miss", 2)
        assert await callers.how(1.0) == ("hit", 2)


@on_loop
async def test_a_new_version_that_answered_by_number_is_enough():
    async with calling() as callers:
        await callers.ask(1.0)
        callers.backend.latest = 2
        await callers.ask(3.0, ModelRef("m", version=2))
        assert await callers.how(1.0) == ("miss", 2)


@on_loop
async def test_nothing_is_given_to_the_first_request_that_leaves_the_version_open():
    """What the server would answer to it has not been heard yet."""
    async with calling() as callers:
        await callers.ask(model=ModelRef("m", version=1))
        callers.backend.latest = 2
        assert await callers.how() == ("miss", 2)


@on_loop
async def test_after_a_rollback_the_old_version_answers_again():
    async with calling() as callers:
        await callers.ask()
        callers.backend.latest = callers.catalog.latest["m"] = 2
        assert await callers.how() == ("miss", 2)
        callers.backend.latest = 1
        assert await callers.how() == ("hit", 2)  # nobody here has heard of it
        callers.catalog.latest["m"] = 1
        assert await callers.how() == ("miss", 1)
        assert await callers.how() == ("hit", 1)


@on_loop
async def test_a_call_that_began_before_the_new_version_answered_is_not_shared_after_it():
    async with calling() as callers:
        old = await callers.hold(2, 1.0)
        callers.backend.gate.set()
        await finished(old)
        callers.clock.now_s += 60
        old = await callers.hold(2, 1.0)
        callers.backend.latest = 2
        late = callers.start(3.0)
        await until(lambda: callers.backend.calls[-1][0] == 2)
        new_gate, callers.backend.gate = callers.backend.gate, asyncio.Event()
        callers.backend.gate.set()
        assert await callers.how(4.0) == ("miss", 2)
        assert await callers.how(1.0) == ("miss", 2)
        new_gate.set()
        assert [outcome.version for _, outcome in await finished(old)] == [1, 1]
        assert (await late)[1].version == 2
        assert await callers.how(1.0) == ("miss", 2)  # the old answer that came last changes nothing


@on_loop
async def test_a_version_that_returns_as_another_model_does_not_answer_from_before():
    async with calling() as callers:
        await callers.ask()
        callers.catalog.versions["m", 1] = ServedModel("m", 1, {})
        assert await callers.how() == ("miss", 1)
        assert await callers.how() == ("hit", 1)


@on_loop
async def test_an_answer_of_another_version_than_the_catalogs_is_not_kept_as_if_it_were_its():
    async with calling() as callers:
        callers.backend.latest = 2
        assert await callers.how() == ("miss", 2)
        assert len(callers.store._models["m"]) == 0
        assert await callers.how(model=ModelRef("m", version=1)) == ("miss", 1)


@on_loop
async def test_labels_are_followed_by_themselves():
    async with calling() as callers:
        stable = ModelRef("m", label="stable")
        assert await callers.how(model=stable) == ("miss", 1)
        assert await callers.how(model=stable) == ("hit", 1)
        callers.catalog.labels["stable"] = 2
        callers.backend.latest = 2  # what the fake answers to a request that names no number
        assert await callers.how(model=stable) == ("miss", 2)
        assert await callers.how(model=stable) == ("hit", 2)
        assert await callers.how() == ("miss", 2)
