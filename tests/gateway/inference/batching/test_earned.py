"""Batches are earned: whatever a model does with the rows of a call, each request gets the answer that it gets alone."""

import asyncio
import logging
import random

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Internal, Unavailable
from gateway.inference import dtypes
from gateway.inference.batching.batcher import Batcher
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.records import Records
from gateway.inference.signature import Prediction
from tests.gateway.inference.batching.row_models import (
    CERTAIN,
    DEPENDENT,
    MODEL,
    SIGNATURE,
    VERSION_1,
    ModelBackend,
    is_idle,
    row_wise,
    signature,
)
from tests.gateway.inference.event_loop import on_loop, until

LIMITS = BatchLimits(max_rows=32, max_in_flight=2, max_queued_rows=1000, sample_every=5)
CLIENTS = 16
CALLS = 600


async def ask_all(ask, questions, clients=CLIENTS):
    """What ``ask`` gives for each question, of which so many are asked at a time."""
    answers = [None] * len(questions)
    left = iter(enumerate(questions))

    async def client():
        for position, question in left:
            answers[position] = await ask(question)

    await asyncio.gather(*[client() for _ in range(clients)])
    return answers


def ask_at_random(backend, sig, proofs=4, seed=9, calls=CALLS):
    """Random requests from many clients: what was sent and answered, and the records."""
    dice = random.Random(seed)
    backend.takes_s = 0.001
    records = Records(proofs)
    sent = [np.float32([[dice.random(), dice.random()] for _ in range(dice.choice([1, 1, 1, 2, 4]))]) for _ in range(calls)]

    async def run():
        batcher = Batcher(backend, LIMITS, records)

        async def ask(x):
            return (await batcher.predict(MODEL, sig, {"x": x}, (), Deadline.after(30))).outputs

        answers = await ask_all(ask, sent)
        await until(lambda: is_idle(batcher))
        await batcher.close()
        return list(zip(sent, answers, strict=True))

    return asyncio.run(run()), records


@pytest.mark.parametrize("name", DEPENDENT)
def test_a_model_whose_rows_depend_on_each_other_is_answered_as_alone(name):
    sig, run = DEPENDENT[name]
    answered, records = ask_at_random(ModelBackend(run), sig)
    for x, outputs in answered:
        alone = run(x)
        assert outputs.keys() == alone.keys()
        for output, array in alone.items():
            assert np.array_equal(outputs[output], array), name
    assert records.verdict(VERSION_1)


def test_a_model_whose_rows_are_independent_is_joined_and_answered_as_alone():
    backend = ModelBackend()
    answered, records = ask_at_random(backend, SIGNATURE)
    assert all(np.array_equal(outputs["y"], row_wise(x)["y"]) for x, outputs in answered)
    assert records.verdict(VERSION_1) is None
    assert len(backend.calls) < CALLS


def test_a_model_that_is_random_by_itself_stays_within_its_range():
    """Dropout at prediction time: the value of a row is 0, or twice what it was."""
    dice = np.random.default_rng(3)
    backend = ModelBackend(lambda x: {"y": x * 2 * (dice.random(x.shape) > 0.5)})
    answered, records = ask_at_random(backend, SIGNATURE)
    for x, outputs in answered:
        assert ((outputs["y"] == 0) | (outputs["y"] == x * 2)).all()
    assert "differs" in records.verdict(VERSION_1)
    # Two comparisons may be under way at a time.
    assert sum(len(call) > 4 for call in backend.calls) <= 2


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (
            (("y", dtypes.FLOAT, (None, None)), ("labels", dtypes.STRING, (2,))),
            "output labels: dimension 0 of string[2] is not free",
        ),
        ((("y", dtypes.FLOAT, (None, None)), ("size", dtypes.INT32, ())), "output size: dimension 0 of int32[] is not free"),
    ],
)
def test_an_output_without_a_free_dimension_0_is_never_joined(declared, why):
    sig = signature(*declared)
    backend = ModelBackend(lambda x: {"y": x, declared[1][0]: np.arange(2)})
    ask_at_random(backend, sig, calls=100)
    assert max(len(call) for call in backend.calls) <= 4
    assert len(backend.calls) == 100
    assert sig.not_joinable == why


def test_an_unknown_rank_counts_as_free():
    sig = signature(("y", dtypes.FLOAT, None), x=None)
    backend = ModelBackend()
    answered, _ = ask_at_random(backend, sig)
    assert all(np.array_equal(outputs["y"], row_wise(x)["y"]) for x, outputs in answered)
    assert len(backend.calls) < CALLS


@pytest.mark.parametrize(
    ("dtype", "noise", "is_joined"),
    [
        (np.float32, 3e-6, True),
        (np.float32, 1e-4, False),
        (np.float64, 3e-13, True),
        (np.float64, 1e-9, False),
        (np.float16, 4e-3, True),
        (np.float16, 5e-2, False),
    ],
)
def test_floats_may_differ_by_another_order_of_summation_and_no_more(dtype, noise, is_joined):
    def run(x):
        return {"y": (x.astype(np.float64) * (1 + noise * (len(x) % 2))).astype(dtype)}

    _, records = ask_at_random(ModelBackend(run), SIGNATURE)
    assert (records.verdict(VERSION_1) is None) == is_joined


@on_loop
async def test_a_model_that_changes_its_behaviour_is_noticed_by_the_sample(caplog):
    backend = ModelBackend(takes_s=0.001)
    records = Records(4)
    batcher = Batcher(backend, LIMITS, records)
    dice = random.Random(1)

    async def ask(_):
        x = np.float32([[dice.random(), 1]])
        return await batcher.predict(MODEL, SIGNATURE, {"x": x}, (), Deadline.after(30))

    await ask_all(ask, range(400))
    assert records.verdict(VERSION_1) is None
    backend.run = lambda x: {"y": x * len(x)}
    with caplog.at_level(logging.WARNING):
        await ask_all(ask, range(2000))
    assert "differs" in records.verdict(VERSION_1)
    await batcher.close()


def test_without_proofs_requests_are_joined_at_once_and_a_missing_row_still_ends_it():
    backend = ModelBackend()
    ask_at_random(backend, SIGNATURE, proofs=0)
    assert len(backend.calls) < CALLS
    sig, run = DEPENDENT["found"]
    answered, records = ask_at_random(ModelBackend(run), sig, proofs=0)
    assert records.verdict(VERSION_1) == "output y: not one row for each input row"
    assert len(answered) == CALLS


@on_loop
async def test_at_random_over_rollouts_errors_and_time_outs_every_answer_is_its_versions_own():
    """Versions that may be joined and versions that may not replace each other under load, calls fail, and clients go away."""
    dice = random.Random(17)
    functions = [row_wise, *(DEPENDENT[name][1] for name in CERTAIN)]
    versions = {number: dice.choice(functions[:1] * 4 + functions) for number in range(1, 400)}
    versions[1] = row_wise
    assert len(set(versions.values())) == len(functions)

    class Rolling(ModelBackend):
        async def predict(self, model, sig, inputs, outputs, deadline, *, spans=()):
            self.calls.append(inputs["x"])
            # The first version stays for long enough to be joined.
            if len(self.calls) > 500 and dice.random() < 0.02:
                self.version += 1
            version = self.version
            await asyncio.sleep(dice.choice([0, 0.0005, 0.001]))
            if dice.random() < 0.04:
                raise dice.choice([Internal("hiccup"), Unavailable("away"), deadline.exceeded()])
            return Prediction("m", version, sig.name, versions[version](inputs["x"]))

    backend = Rolling()
    batcher = Batcher(backend, LIMITS, Records(2))

    async def ask(seed):
        own = random.Random(seed)
        x = np.float32([[own.random(), own.random()] for _ in range(own.choice([1, 1, 2, 3]))])
        try:
            call = asyncio.create_task(batcher.predict(MODEL, SIGNATURE, {"x": x}, (), Deadline.after(30)))
            if own.random() < 0.02:
                asyncio.get_running_loop().call_later(own.choice([0, 0.0005, 0.002]), call.cancel)
            answer = await call
        except GatewayError as error:
            return type(error), None
        except asyncio.CancelledError:
            return "cancelled", None
        assert np.array_equal(answer.outputs["y"], versions[answer.version](x)["y"]), answer.version
        return "answered", answer.is_shared

    outcomes = await ask_all(ask, range(6000), clients=24)
    assert sum(how == "answered" for how, _ in outcomes) > 4500
    assert {how for how, _ in outcomes} == {"answered", "cancelled", Internal, Unavailable, DeadlineExceeded}
    # Both ways were taken: some versions earned their batches before the next one came.
    assert {is_shared for _, is_shared in outcomes} == {True, False, None}
    assert 5 < backend.version < 400
    await until(lambda: is_idle(batcher))
    await batcher.close()
