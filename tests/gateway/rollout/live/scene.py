"""A model server of two versions in memory, and what stands before it: the predictor, the rollouts, the pools."""

import asyncio
import time
from functools import partial

import numpy as np
from prometheus_client import REGISTRY

from gateway.deadline import Deadline
from gateway.errors import Internal, InvalidArgument, NotFound
from gateway.inference import dtypes
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.rollout.live.predictor import RolloutPredictor
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.live.router import Router
from gateway.rollout.live.second_opinion import SecondOpinions
from gateway.rollout.live.shadow import Shadow
from gateway.rollout.plan import Plan, State, Step
from gateway.telemetry.trace import Sender, Trace

STABLE, CANARY = 1, 2
ON_CANARY, ON_STABLE, ON_BASELINE = 0.05, 0.5, 0.95
"""Draws that send a request to that arm, while the canary has a tenth."""


def plan(**values) -> Plan:
    """A rollout of ``m`` from version 1 to 2, whose canary has a tenth."""
    known = {
        "id": "m-2-abcd",
        "model": "m",
        "stable": STABLE,
        "canary": CANARY,
        "steps": (Step(100_000), Step(250_000), Step(500_000)),
        "weight": 100_000,
        "state": State.RUNNING,
        "salt": "salt",
        "author": "anna",
        "created_us": 0,
        "state_us": 0,
        "step_us": 0,
    }
    return Plan(**known | values)


def signature(width: int = 2) -> Signature:
    spec = TensorSpec("x", dtypes.FLOAT, (None, width))
    return Signature("serving_default", "tensorflow/serving/predict", (spec,), (spec,))


def served(version: int, width: int = 2) -> ServedModel:
    return ServedModel("m", version, {"serving_default": signature(width)})


class Server:
    """Serves version 1 and 2 of ``m``: as a catalog, and as a backend that notes its calls.

    ``acts``: by version, what a call does besides answering with its inputs: it may raise, wait, or return other outputs.
    """

    def __init__(self, *versions: ServedModel) -> None:
        self.versions = {one.version: one for one in versions or (served(STABLE), served(CANARY))}
        self.acts = {}
        self.calls: list[ModelRef] = []
        self.inputs = []

    async def served(self, model, deadline):
        version = max(self.versions) if model.version is None else model.version
        if version not in self.versions:
            raise NotFound(f"Servable not found for request: Specific(m, {version})")
        return self.versions[version]

    async def refreshed(self, model, deadline):
        return await self.served(model, deadline)

    def models(self):
        return (
            ModelStatus("m", tuple(VersionStatus(version, "AVAILABLE") for version in sorted(self.versions, reverse=True))),
        )

    def note_missing(self, model):
        pass

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        self.calls.append(model)
        self.inputs.append(inputs)
        version = max(self.versions) if model.version is None else model.version
        changed = await self._act(version, inputs, deadline)
        return Prediction(model.name, version, signature.name, inputs if changed is None else changed)

    async def _act(self, version, inputs, deadline):
        act = self.acts.get(version)
        return None if act is None else await act(inputs, deadline)

    @property
    def asked(self) -> list[tuple[int | None, str]]:
        """The version and lane of each call."""
        return [(call.version, call.lane) for call in self.calls]


def fails(error=Internal, text="boom"):
    async def act(inputs, deadline):
        raise error(text)

    return act


def is_missing():
    """Fails as the server does when it does not serve the version."""
    return fails(NotFound, "Servable not found for request: Specific(m, 1)")


def hangs():
    """Waits for the whole deadline, and raises what the client would."""

    async def act(inputs, deadline):
        await asyncio.sleep(max(0.0, deadline.at_s - time.monotonic()))
        raise deadline.exceeded()

    return act


class Gate:
    """Calls that wait until ``open`` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0

    async def __call__(self, inputs, deadline):
        self.waiting += 1
        await self.open.wait()


class Scene:
    """Requests for ``m`` before a server. ``draw``: what chance says; ``width``: of the rows that a request has."""

    def __init__(self, server: Server, *plans: Plan, draw=ON_STABLE, most=8, cached=False, width=2) -> None:
        self.server = server
        self.draw = draw
        self.width = width
        self.now = 0.0
        self.rollouts = Rollouts(now=lambda: self.now, draw=lambda: self.draw)
        self.rollouts.use(plans)
        self.opinions = SecondOpinions(most)
        self.shadow = Shadow(server, server, self.rollouts.keep_sample)
        cache = PredictionCache(CacheStore({"m": CacheLimits(100, 60)}, 10**6)) if cached else None
        self.predictor = RolloutPredictor(
            Predictor(server, server, cache),
            self.rollouts,
            Router(self.opinions, self.rollouts.keep_sample, server),
            self.shadow,
            catalog=server,
            backend=server,
        )
        self.builds = 0
        self.refusals: list[Exception] = []  # what the next builds raise

    async def predict(self, model=ModelRef("m"), budget_s=5.0, value=1.0, **sender) -> tuple[Trace, Prediction]:  # noqa: B008
        trace = self.trace(**sender)
        build = partial(self._build, value)
        return trace, await self.predictor.predict(model, trace, build, Deadline.after(budget_s))

    def trace(self, *, key=None, client="127.0.0.1", **headers) -> Trace:
        return Trace("m", "serving_default", sender=Sender("of-this-request", headers, client, key))

    async def _build(self, value, signature):
        self.builds += 1
        if self.refusals:
            raise self.refusals.pop(0)
        if signature.inputs[0].shape[1] != self.width:
            raise InvalidArgument("does not fit the signature")
        return {"x": np.full((1, self.width), value, np.float32)}

    def totals(self, plan="m-2-abcd", step=0):
        return self.rollouts.report()[plan, step]


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"model": "m"} | labels) or 0.0
