"""Many clients, questions, versions, deadlines, cancellations and failures at random: each outcome is its request's own."""

import asyncio
import random
import time

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Internal, InvalidArgument, Unavailable
from gateway.inference import dtypes
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec
from gateway.telemetry.trace import Trace
from tests.event_loop import on_loop

CLIENTS = 24
CALLS = 400  # of each client
MAX_BYTES = 65_536
BAD = 13.0  # what every version refuses
SPECS = tuple(TensorSpec(name, dtypes.DOUBLE, (None,)) for name in ("x", "y"))
SIGNATURES = {name: Signature(name, "p", SPECS[:1], SPECS) for name in ("plus", "times")}
PATIENT_S = 20.0


def outputs_of(name, number, signature, x, wanted):
    salt = {"a": 100, "b": 200}[name]
    y = x + salt + number if signature == "plus" else x * (salt + number)
    both = {"y": y, "x": x}
    return {key: both[key] for key in wanted or both}


class Server:
    """What is true: the latest version of each model. Fails at random, each failure with words of its own."""

    def __init__(self, dice):
        self.latest = {"a": 1, "b": 1}
        self.stable = {"a": 1, "b": 1}
        self.failures = 0
        self._dice = dice

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        number = self.number(model)
        fate, delay_s = self._dice.random(), self._dice.choice([0.0, 0.0, 0.001, 0.004])
        self.failures += 1
        words = f"failure {self.failures}"
        await asyncio.sleep(min(delay_s, max(0.0, deadline.at_s - time.monotonic())))
        deadline.remaining_s()
        if fate < 0.02:
            raise Unavailable(words)
        if fate < 0.05:
            raise Internal(words)
        x = inputs["x"]
        if (x == BAD).any():
            raise InvalidArgument("bad")
        # Rows of something larger, as the batcher hands them out.
        made = outputs_of(model.name, number, signature.name, np.concatenate([x, x, x]), outputs)
        return Prediction(model.name, number, signature.name, {key: array[: len(x)] for key, array in made.items()})

    def number(self, model):
        return model.version or (self.stable if model.label else self.latest)[model.name]


class LateCatalog:
    """Sees the server's versions when the test lets it look."""

    def __init__(self, server):
        self._server = server
        self._versions = {}
        self.look()

    def look(self):
        self._latest, self._stable = dict(self._server.latest), dict(self._server.stable)

    async def served(self, model, deadline):
        number = model.version or (self._stable if model.label else self._latest)[model.name]
        return self._versions.setdefault((model.name, number), ServedModel(model.name, number, SIGNATURES))

    refreshed = served


class Run:
    """The clients of one run, and what they saw."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.server = Server(random.Random(seed + 1))
        self.catalog = LateCatalog(self.server)
        self.store = CacheStore({name: CacheLimits(30, 0.02) for name in "ab"}, MAX_BYTES)
        self.cache = PredictionCache(self.store)
        self.predictor = Predictor(self.catalog, self.server, self.cache)
        self.heard = {"a": 0, "b": 0}  # the newest version that an open request was answered with
        self.cancelled = 0
        self.words: list[str] = []
        self.ways: set[str] = set()

    async def client(self, seed):
        dice = random.Random(seed)
        for _ in range(CALLS):
            await self.call(dice)

    async def call(self, dice):
        name, signature = dice.choice("ab"), dice.choice(("plus", "times"))
        model = dice.choice([ModelRef(name)] * 3 + [ModelRef(name, version=1), ModelRef(name, label="stable")])
        x = np.array([dice.choice([1.0, 2.0, 3.0, 4.0, BAD, dice.random()])] * dice.choice([1, 1, 2, 200, 700]))
        wanted = dice.choice([(), (), ("y",), ("x", "y")])
        budget_s = dice.choice([0.0005, 0.002, PATIENT_S, PATIENT_S, PATIENT_S])
        heard = self.heard[name]
        trace = Trace(name, signature)

        async def build(_):
            return {"x": x}

        asking = asyncio.create_task(self.predictor.predict(model, trace, build, Deadline.after(budget_s), wanted))
        if dice.random() < 0.1:
            await asyncio.sleep(dice.choice([0.0, 0.0005, 0.002]))
            asking.cancel()
        await asyncio.wait([asking])
        if asking.cancelled():
            self.cancelled += 1
            return
        error = asking.exception()
        if error is not None:
            self.check_error(error, x, budget_s)
            return
        got = asking.result()
        self.check_answer(got, model, signature, x, wanted)
        if model == ModelRef(name):
            assert got.version >= heard
            self.heard[name] = max(self.heard[name], got.version)
        self.ways.add(str(trace.cache))

    def check_answer(self, got, model, signature, x, wanted):
        assert not (x == BAD).any()
        assert (got.model, got.signature) == (model.name, signature)
        assert got.version == model.version or model.version is None
        expected = outputs_of(model.name, got.version, signature, x, wanted)
        assert set(got.outputs) == set(expected)
        for key, array in expected.items():
            assert got.outputs[key].tobytes() == array.tobytes()

    def check_error(self, error, x, budget_s):
        if isinstance(error, DeadlineExceeded):
            assert budget_s < PATIENT_S
            assert f"{budget_s * 1000:.0f} ms" in error.message
        elif isinstance(error, InvalidArgument):
            assert (x == BAD).any()
        elif isinstance(error, Internal):
            self.words.append(error.message)
        elif not isinstance(error, Unavailable):
            raise error

    async def roll_out(self):
        """New versions, which the catalog sees late, while the clients are at it."""
        while True:
            await asyncio.sleep(0.005)
            name = self.dice.choice("ab")
            if self.dice.random() < 0.3:
                self.server.latest[name] += 1
            self.server.stable[name] = self.dice.randint(1, self.server.latest[name])
            if self.dice.random() < 0.3:
                self.catalog.look()


@pytest.mark.parametrize("seed", range(3))
@on_loop
async def test_every_answer_and_every_error_is_the_requests_own(seed):
    run = Run(seed)
    rollout = asyncio.create_task(run.roll_out())
    await asyncio.gather(*(run.client(1000 * seed + number) for number in range(CLIENTS)))
    rollout.cancel()
    assert run.ways == {"hit", "miss", "shared"}
    assert run.server.latest["a"] > 1
    assert run.cancelled > 10
    assert len(run.words) == len(set(run.words)), "one request was told the failure of another"
    assert (len(run.cache._calls), run.cache._calls.waiting) == (0, 0)
    assert run.store.bytes_held <= MAX_BYTES
    assert all(len(run.store._models[name]) <= 30 for name in "ab")
