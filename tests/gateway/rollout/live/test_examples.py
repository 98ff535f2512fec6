"""Classify and Regress in a rollout: routed and checked as predictions are."""

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import Internal, InvalidArgument
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef
from gateway.rollout.live.examples import RolloutExamplePredictor
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.live.router import Router
from gateway.rollout.live.second_opinion import SecondOpinions
from gateway.telemetry.trace import Sender, Trace
from tests.event_loop import on_loop, until
from tests.gateway.rollout.live.scene import CANARY, ON_CANARY, ON_STABLE, STABLE, Server, fails, plan

METHODS = pytest.mark.parametrize("method", ["classify", "regress"])


class ExampleServer(Server):
    async def classify(self, model, signature, examples, deadline, *, spans=()):
        return Classifications(model.name, await self._version(model, examples, deadline), [[("a", 1.0)]])

    async def regress(self, model, signature, examples, deadline, *, spans=()):
        return Regressions(model.name, await self._version(model, examples, deadline), np.zeros(1, np.float32))

    async def _version(self, model, examples, deadline):
        self.calls.append(model)
        await self._act(model.version or max(self.versions), examples, deadline)
        return model.version or max(self.versions)


class Scene:
    def __init__(self, draw, **values):
        self.server = server = ExampleServer()
        self.rollouts = Rollouts(draw=lambda: draw)
        self.rollouts.use([plan(**values)])
        inner = ExamplePredictor(server, server, lambda examples: {})
        router = Router(SecondOpinions(8), self.rollouts.keep_sample, server)
        self.predictor = RolloutExamplePredictor(inner, self.rollouts, router, backend=server)

    async def ask(self, method, model=ModelRef("m")):  # noqa: B008
        trace = Trace("m", "serving_default", sender=Sender("id", {}, "127.0.0.1", None))
        return trace, await getattr(self.predictor, method)(model, trace, Examples([{}]), Deadline.after(5))

    @property
    def totals(self):
        return self.rollouts.report()["m-2-abcd", 0]


@METHODS
@on_loop
async def test_a_request_is_answered_by_its_arms_version_and_counted(method):
    scene = Scene(ON_CANARY)
    trace, answer = await scene.ask(method)
    assert (answer.version, trace.arm, trace.rollout) == (CANARY, "canary", "m-2-abcd")
    assert scene.totals.canary_cells == 1


@METHODS
@on_loop
async def test_what_names_a_version_passes_untouched(method):
    scene = Scene(ON_CANARY)
    trace, _ = await scene.ask(method, ModelRef("m", STABLE))
    assert (scene.server.asked, trace.rollout) == ([(STABLE, "")], None)


@METHODS
@on_loop
async def test_a_canary_that_fails_is_bad_once_stable_has_answered_its_caller(method):
    scene = Scene(ON_CANARY)
    scene.server.acts[CANARY] = fails(Internal)
    trace, answer = await scene.ask(method)
    assert (answer.version, trace.note) == (STABLE, "canary-failed")
    assert scene.totals.canary_errors == 1


@METHODS
@on_loop
async def test_examples_that_both_refuse_take_nothing_back(method):
    scene = Scene(ON_CANARY)
    scene.server.acts = {CANARY: fails(InvalidArgument), STABLE: fails(InvalidArgument)}
    with pytest.raises(InvalidArgument):
        await scene.ask(method)
    assert (scene.totals.canary_errors, scene.totals.canary_cells) == (0, 1)


@METHODS
@on_loop
async def test_a_fault_of_stable_is_asked_of_the_canary_afterwards(method):
    scene = Scene(ON_STABLE)
    scene.server.acts[STABLE] = fails(Internal)
    with pytest.raises(Internal):
        await scene.ask(method)
    await until(lambda: scene.totals.stable_errors == 1)
    assert scene.server.asked[-1] == (CANARY, "shadow")
