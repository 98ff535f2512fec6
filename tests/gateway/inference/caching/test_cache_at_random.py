"""Many threads, questions, versions, deadlines and failures at random: each outcome is one that its request has alone."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Internal, InvalidArgument, Unavailable
from gateway.inference import dtypes
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.predictor import Predictor, Trace
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec

THREADS = 24
CALLS = 400  # of each thread
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
        self._lock = threading.Lock()

    def predict(self, model, signature, inputs, outputs, deadline):
        number = self.number(model)
        with self._lock:
            fate, delay_s = self._dice.random(), self._dice.choice([0.0, 0.0, 0.001, 0.004])
            self.failures += 1
            words = f"failure {self.failures}"
        time.sleep(min(delay_s, max(0.0, deadline.at_s - time.monotonic())))
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
        self._lock = threading.Lock()
        self.look()

    def look(self):
        self._latest, self._stable = dict(self._server.latest), dict(self._server.stable)

    def served(self, model, deadline):
        number = model.version or (self._stable if model.label else self._latest)[model.name]
        with self._lock:
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
        self.stop = threading.Event()
        self.words: list[str] = []
        self.ways: set[str] = set()

    def client(self, seed):
        dice = random.Random(seed)
        for _ in range(CALLS):
            self.call(dice)

    def call(self, dice):
        name, signature = dice.choice("ab"), dice.choice(("plus", "times"))
        model = dice.choice([ModelRef(name)] * 3 + [ModelRef(name, version=1), ModelRef(name, label="stable")])
        x = np.array([dice.choice([1.0, 2.0, 3.0, 4.0, BAD, dice.random()])] * dice.choice([1, 1, 2, 200, 700]))
        wanted = dice.choice([(), (), ("y",), ("x", "y")])
        budget_s = dice.choice([0.0005, 0.002, PATIENT_S, PATIENT_S, PATIENT_S])
        heard = self.heard[name]
        trace = Trace(model, signature)
        try:
            got = self.predictor.predict(trace, lambda _: {"x": x}, Deadline.after(budget_s), wanted)
        except GatewayError as error:
            self.check_error(error, x, budget_s)
            return
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
        else:
            assert isinstance(error, Unavailable)

    @contextmanager
    def rolling_out(self):
        """New versions, seen late by the catalog, while the clients are at it."""
        thread = threading.Thread(target=self._roll_out)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()

    def _roll_out(self):
        while not self.stop.wait(0.005):
            name = self.dice.choice("ab")
            if self.dice.random() < 0.3:
                self.server.latest[name] += 1
            self.server.stable[name] = self.dice.randint(1, self.server.latest[name])
            if self.dice.random() < 0.3:
                self.catalog.look()


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_and_every_error_is_the_requests_own(seed):
    run = Run(seed)
    with run.rolling_out(), ThreadPoolExecutor(THREADS) as pool:
        clients = [pool.submit(run.client, 1000 * seed + number) for number in range(THREADS)]
        for client in clients:
            client.result(60)
    assert run.ways == {"hit", "miss", "shared"}
    assert run.server.latest["a"] > 1
    assert len(run.words) == len(set(run.words)), "one request was told the failure of another"
    assert run.cache.in_flight == 0
    assert run.store.bytes_held <= MAX_BYTES
    assert all(run.store.entries(name) <= 30 for name in "ab")
