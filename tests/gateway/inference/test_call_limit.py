"""One model's calls are bounded, those above wait in their order, and no slot is ever lost."""

import asyncio
import random
from collections import Counter

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Internal, Setting, Unavailable
from gateway.inference.call_limit import CallLimit
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature
from gateway.telemetry import metrics
from tests.gateway.inference.event_loop import on_loop, turns, until

SIGNATURE = Signature("serving_default", "tensorflow/serving/predict", (), ())
EXAMPLES = Examples([{}])


class Backend:
    """Answers when ``gate`` is open, and knows which calls began and how many are under way for each model."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.began = []
        self.under_way = Counter()
        self.most = Counter()

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        await self.call(model, inputs.get("x"))
        return Prediction(model.name, 1, signature.name, {})

    async def classify(self, model, signature, examples, deadline, *, spans=()):
        await self.call(model, "classify")
        return Classifications(model.name, 1, [])

    async def regress(self, model, signature, examples, deadline, *, spans=()):
        await self.call(model, "regress")
        return Regressions(model.name, 1, np.zeros(1))

    async def call(self, model, what):
        self.began.append(what)
        self.under_way[model.name] += 1
        self.most[model.name] = max(self.most[model.name], self.under_way[model.name])
        try:
            await self.gate.wait()
        finally:
            self.under_way[model.name] -= 1


def start(limit, what, name="m", timeout_s=10.0, **ref):
    call = limit.predict(ModelRef(name, **ref), SIGNATURE, {"x": what}, (), Deadline.after(timeout_s))
    return asyncio.create_task(call)


@on_loop
async def test_calls_above_the_bound_wait_and_come_in_their_order():
    backend = Backend()
    limit = CallLimit(backend, 2)
    tasks = [start(limit, number) for number in range(5)]
    await turns(5)
    assert backend.began == [0, 1]
    backend.gate.set()
    await asyncio.gather(*tasks)
    assert backend.began == [0, 1, 2, 3, 4]
    assert backend.most["m"] == 2


@on_loop
async def test_a_lane_of_a_model_has_a_bound_of_its_own():
    backend = Backend()
    limit = CallLimit(backend, 1)
    tasks = [start(limit, 0, version=1), start(limit, 1, version=2, lane="canary"), start(limit, 2, version=1)]
    await turns(5)
    assert backend.began == [0, 1]
    backend.gate.set()
    await asyncio.gather(*tasks)


@on_loop
async def test_every_kind_of_call_of_a_model_counts_under_any_version_or_label():
    backend = Backend()
    limit = CallLimit(backend, 3)
    deadline = Deadline.after(10)
    tasks = [
        start(limit, "predict", version=2),
        asyncio.create_task(limit.classify(ModelRef("m"), "c", EXAMPLES, deadline)),
        asyncio.create_task(limit.regress(ModelRef("m", label="stable"), "r", EXAMPLES, deadline)),
        start(limit, "last"),
        asyncio.create_task(limit.classify(ModelRef("m"), "c", EXAMPLES, deadline)),
        asyncio.create_task(limit.regress(ModelRef("m"), "r", EXAMPLES, deadline)),
    ]
    await turns(5)
    assert backend.began == ["predict", "classify", "regress"]
    backend.gate.set()
    answers = await asyncio.gather(*tasks)
    assert [type(answer).__name__ for answer in answers] == ["Prediction", "Classifications", "Regressions"] * 2
    assert backend.most["m"] == 3


@on_loop
async def test_a_model_that_is_stuck_does_not_hold_up_another():
    backend = Backend()
    limit = CallLimit(backend, 1)
    stuck = [start(limit, number) for number in range(3)]
    await turns(3)
    other = start(limit, "other", name="another")
    await turns(3)
    assert backend.began == [0, "other"]
    backend.gate.set()
    await asyncio.gather(other, *stuck)


@on_loop
async def test_too_many_that_wait_are_refused_at_once_and_counted():
    backend = Backend()
    limit = CallLimit(backend, 2)
    tasks = [start(limit, number) for number in range(2 + 2 * 16)]
    await turns(3)
    refused_before = metrics.MODEL_CALL_REFUSALS._value.get()
    with pytest.raises(Unavailable, match="too many calls of the model are waiting") as caught:
        await start(limit, "refused")
    assert caught.value.setting == Setting("GATEWAY_MODEL_MAX_IN_FLIGHT", 2)
    assert metrics.MODEL_CALL_REFUSALS._value.get() == refused_before + 1
    backend.gate.set()
    await asyncio.gather(*tasks)
    await start(limit, "not refused")


@pytest.mark.parametrize("how", ["timeout", "cancel"])
@on_loop
async def test_one_that_is_given_up_while_it_waits_leaves_its_place(how):
    backend = Backend()
    limit = CallLimit(backend, 1)
    first = start(limit, 0)
    given_up = start(limit, 1, timeout_s=0.05 if how == "timeout" else 10)
    last = start(limit, 2)
    await turns(3)
    if how == "cancel":
        given_up.cancel()
    with pytest.raises((DeadlineExceeded, asyncio.CancelledError)):
        await given_up
    assert len(limit._by_model["m"].waiting) == 1
    backend.gate.set()
    await asyncio.gather(first, last)
    assert backend.began == [0, 2]


@on_loop
async def test_a_slot_that_is_given_to_a_call_at_the_moment_when_it_is_cancelled_goes_to_the_next():
    backend = Backend()
    limit = CallLimit(backend, 1)
    tasks = [start(limit, number) for number in range(3)]
    await until(lambda: "m" in limit._by_model and len(limit._by_model["m"].waiting) == 2)
    first_in_line = limit._by_model["m"].waiting[0]
    backend.gate.set()
    await until(first_in_line.done)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False, True, False]
    assert backend.began == [0, 2]
    assert limit._by_model == {}


@on_loop
async def test_a_call_that_fails_gives_its_slot_back():
    backend = Backend()
    backend.gate.set()
    limit = CallLimit(backend, 1)

    async def broken(model, what):
        raise Internal("broken")

    backend.call, call = broken, backend.call
    for _ in range(3):
        with pytest.raises(Internal):
            await start(limit, 0)
    backend.call = call
    await start(limit, 1)
    assert limit._by_model == {}


@on_loop
async def test_at_random_no_slot_is_lost_and_no_model_that_is_not_in_use_is_remembered():
    """Calls end, fail, time out and are cancelled at any moment, and most of all at that at which they are given a slot."""
    dice = random.Random(8)
    backend = Backend()

    async def call(model, what):
        backend.under_way[model.name] += 1
        backend.most[model.name] = max(backend.most[model.name], backend.under_way[model.name])
        try:
            await asyncio.sleep(dice.choice([0, 0, 0, 0.001]))
            if dice.random() < 0.1:
                raise Internal("hiccup")
        finally:
            backend.under_way[model.name] -= 1

    backend.call = call
    limit = CallLimit(backend, 3)
    how_ended = Counter()

    async def ask(number):
        name = dice.choice(["a", "a", "a", "b", f"model-{number}"])
        task = start(limit, number, name=name, timeout_s=0.001 if dice.random() < 0.1 else 10.0)
        calls = limit._by_model.get(name)
        if dice.random() < 0.3:
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        elif calls is not None and calls.waiting and dice.random() < 0.3:
            # At the very moment at which the first that waits is given a slot.
            calls.waiting[0].add_done_callback(lambda _: task.cancel())
        try:
            await task
            how_ended["answered"] += 1
        except (Internal, DeadlineExceeded, asyncio.CancelledError) as error:
            how_ended[type(error).__name__] += 1

    numbers = iter(range(6000))

    async def client():
        for number in numbers:
            await ask(number)

    await asyncio.gather(*[client() for _ in range(30)])
    assert limit._by_model == {}
    assert backend.most["a"] == backend.most["b"] == 3
    assert how_ended.keys() == {"answered", "Internal", "DeadlineExceeded", "CancelledError"}
    assert sum(how_ended.values()) == 6000
    await asyncio.gather(*[start(limit, number) for number in range(10)], return_exceptions=True)
    assert backend.most["m"] == 3
