"""The predictor asks the cache: what a prediction's trace says of it, and what a rollout to another signature does."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.inference import dtypes
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec
from gateway.telemetry.trace import Trace
from tests.event_loop import on_loop


def version(name, number, dtype=dtypes.DOUBLE):
    spec = TensorSpec("x", dtype, (None,))
    return ServedModel(name, number, {"serving_default": Signature("serving_default", "p", (spec,), (spec,))})


@dataclass
class FakeServer:
    """The catalog, which may be behind (``seen``), and the backend, which answers ``x + latest``."""

    latest: int = 1
    seen: int = 1
    versions: dict = field(default_factory=dict)
    calls: int = 0

    async def served(self, model, deadline):
        number = model.version or self.seen
        return self.versions.setdefault((model.name, number), version(model.name, number))

    refreshed = served

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        self.calls += 1
        return Prediction(model.name, self.latest, signature.name, {"y": inputs["x"] + self.latest}, 0.25)


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def predict(server):
    cache = PredictionCache(CacheStore({"m": CacheLimits(100, 60.0)}, 1 << 20))
    predictor = Predictor(server, server, cache)

    async def build(signature):
        return {"x": np.array([1], signature.inputs[0].dtype.numpy)}

    async def predict(name="m"):
        trace = Trace(name, "serving_default")
        return trace, await predictor.predict(ModelRef(name), trace, build, Deadline.after(5))

    return predict


@on_loop
async def test_a_call_is_timed_as_without_a_cache_and_a_kept_answer_takes_no_time(predict):
    trace, _ = await predict()
    assert (trace.cache, trace.queue_s, trace.rows) == ("miss", 0.25, 1)
    assert trace.backend_s != 0.0
    trace, _ = await predict()
    assert (trace.cache, trace.version, trace.rows, trace.backend_s, trace.queue_s) == ("hit", 1, 1, 0.0, 0.0)


@on_loop
async def test_a_model_that_is_not_named_is_not_kept(predict, server):
    for _ in range(2):
        trace, prediction = await predict("uncached")
        assert (trace.cache, prediction.version) == (None, 1)
    assert server.calls == 2


@on_loop
async def test_a_rollout_to_another_signature_is_repeated_kept_and_found_again(predict, server):
    """The catalog is behind: the request is built for version 1, answered by 2, built anew and answered again."""
    server.versions["m", 2] = version("m", 2, dtypes.INT64)
    server.latest = 2
    trace, prediction = await predict()
    assert (trace.cache, prediction.version, prediction.outputs["y"].dtype) == ("miss", 2, np.int64)
    assert server.calls == 2
    trace, _ = await predict()
    assert (trace.cache, server.calls) == ("hit", 3)
    server.seen = 2
    trace, _ = await predict()
    assert trace.cache == "hit"
