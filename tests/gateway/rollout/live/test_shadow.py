"""The shadow: the canary answers what stable has answered, nobody waits for it, and the answers are compared."""

import asyncio
import time

import numpy as np
import pytest

from gateway.errors import DeadlineExceeded, Internal, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from gateway.rollout.live import shadow
from gateway.rollout.plan import WHOLE, Hold, State, Step, Tolerance
from tests.event_loop import on_loop, until
from tests.gateway.rollout.live.scene import (
    CANARY,
    ON_BASELINE,
    ON_CANARY,
    ON_STABLE,
    STABLE,
    Gate,
    Scene,
    Server,
    fails,
    is_missing,
    metric,
    plan,
    served,
)


def shadowed(server=None, *, draw=ON_STABLE, cached=False, width=2, **values) -> Scene:
    return Scene(server or Server(), plan(**{"shadow": WHOLE} | values), draw=draw, cached=cached, width=width)


def answers(change):
    async def act(inputs, deadline):
        return {"x": change(inputs["x"])}

    return act


def results(result: str) -> float:
    return metric("gateway_rollout_shadow_total", result=result)


async def outcome(scene: Scene, result: str, **request) -> None:
    """One request, whose shadow comes to ``result``."""
    before = results(result)
    await scene.predict(**request)
    await until(lambda: results(result) == before + 1)


@pytest.mark.parametrize("draw", [ON_STABLE, ON_BASELINE], ids=["stable", "baseline"])
@on_loop
async def test_equal_answers_are_a_pair_that_does_not_differ(draw):
    scene = shadowed(draw=draw)
    await outcome(scene, "same")
    assert scene.server.asked[-1] == (CANARY, "shadow")
    assert scene.server.inputs[0] is scene.server.inputs[1]
    totals = scene.totals()
    assert (totals.pairs, totals.disagreements, totals.canary_cells) == (1, 0, 0)
    assert scene.rollouts.take_samples() == []


@on_loop
async def test_answers_that_differ_beyond_the_tolerance_are_kept_as_a_sample():
    scene = shadowed()
    scene.server.acts[CANARY] = answers(lambda array: array + np.float32(0.5))
    await outcome(scene, "different")
    assert (scene.totals().pairs, scene.totals().disagreements) == (1, 1)
    [(owner, sample)] = scene.rollouts.take_samples()
    assert (owner, sample["request_id"], sample["output"], sample["gap"]) == ("m-2-abcd", "of-this-request", "x", 0.5)
    assert abs(sample["ts_us"] / 1e6 - time.time()) < 3600


@on_loop
async def test_a_tolerance_for_no_output_is_told_once():
    scene = shadowed(tolerances={"*": Tolerance(), "x": Tolerance(), "nosuch": Tolerance()})
    await outcome(scene, "same")
    await outcome(scene, "same")
    assert scene.rollouts.take_samples() == [("m-2-abcd", {"unused_tolerances": ["nosuch"], "outputs": ["x"]})]


@on_loop
async def test_answers_within_the_tolerance_are_the_same():
    scene = shadowed()
    scene.server.acts[CANARY] = answers(lambda array: array * np.float32(1.00005))
    await outcome(scene, "same")


@pytest.mark.parametrize("error", [Internal, InvalidArgument, NotFound], ids=lambda error: error.code)
@on_loop
async def test_what_the_canary_fails_and_stable_answers_is_a_disagreement(error):
    scene = shadowed()
    scene.server.acts[CANARY] = fails(error, "boom")
    await outcome(scene, "failed")
    assert (scene.totals().pairs, scene.totals().disagreements) == (1, 1)
    assert scene.rollouts.take_samples()[0][1]["error"] == error.code


@pytest.mark.parametrize("error", [Unavailable, DeadlineExceeded, ResourceExhausted], ids=lambda error: error.code)
@on_loop
async def test_what_the_canary_cannot_answer_now_is_no_pair(error):
    scene = shadowed()
    scene.server.acts[CANARY] = fails(error)
    await outcome(scene, "unanswered")
    assert scene.totals().pairs == 0


@on_loop
async def test_a_canary_that_is_not_loaded_is_no_pair():
    scene = shadowed()
    scene.server.acts[CANARY] = is_missing()
    await outcome(scene, "unanswered")
    assert scene.totals().pairs == 0


@on_loop
async def test_a_canary_without_the_signature_disagrees():
    server = Server(served(STABLE), type(served(2))("m", CANARY, {}))
    await outcome(shadowed(server), "failed")


@on_loop
async def test_the_answer_is_there_before_the_shadow_begins_and_does_not_wait_for_it():
    scene = shadowed()
    gate = scene.server.acts[CANARY] = Gate()
    await scene.predict()
    assert scene.server.asked == [(STABLE, "")]
    await until(lambda: gate.waiting)
    await scene.predict(value=2.0)
    gate.open.set()
    await until(lambda: scene.totals().pairs == 2)


@on_loop
async def test_few_calls_are_made_at_a_time_few_requests_wait_and_the_others_are_dropped():
    scene = shadowed()
    gate = scene.server.acts[CANARY] = Gate()
    before = results("dropped")
    for number in range(100):
        await scene.predict(value=float(number))
        await asyncio.sleep(0)  # the shadow may begin
    assert gate.waiting == shadow.MOST_CALLS
    assert results("dropped") - before == 100 - shadow.MOST_CALLS - shadow.MOST_WAITING
    gate.open.set()
    await until(lambda: scene.totals().pairs == shadow.MOST_CALLS + shadow.MOST_WAITING)
    await outcome(scene, "same")  # there is room again


@on_loop
async def test_tensors_of_more_than_the_bytes_that_may_wait_are_dropped():
    scene = shadowed(Server(served(STABLE, 2**23), served(CANARY, 2**23)), width=2**23)
    await outcome(scene, "dropped")
    assert scene.server.asked == [(STABLE, "")]


@on_loop
async def test_large_answers_are_compared_too():
    width = 2**16
    scene = shadowed(Server(served(STABLE, width), served(CANARY, width)), width=width)
    scene.server.acts[CANARY] = answers(lambda array: array + np.float32(1))
    await outcome(scene, "different")


@pytest.mark.parametrize(
    "values",
    [
        {"draw": ON_CANARY},
        {"shadow": 0},
        {"shadow": 400_000},  # the draw of the request is 0.5
        {"state": State.ROLLED_BACK},
        {"state": State.HOLDING, "hold": Hold.NOT_LOADED},
    ],
    ids=["canary", "none", "not this one", "rolled back", "not loaded"],
)
@on_loop
async def test_no_other_request_is_shadowed(values):
    scene = shadowed(**values)
    await scene.predict()
    await asyncio.sleep(0)
    assert len(scene.server.calls) == 1


@on_loop
async def test_a_first_step_without_any_weight_compares_too():
    scene = shadowed(steps=(Step(0), Step(100_000)), weight=0)
    await outcome(scene, "same")
    assert (scene.totals().pairs, scene.totals().stable_cells) == (1, 0)


@on_loop
async def test_an_answer_from_the_cache_is_compared_once():
    scene = shadowed(cached=True)
    await outcome(scene, "same")
    await scene.predict()
    await asyncio.sleep(0)
    assert scene.totals().pairs == 1


@on_loop
async def test_equal_inputs_are_one_pair_and_differ_once():
    scene = shadowed()
    scene.server.acts[CANARY] = answers(lambda array: -array)
    for value in (1.0, 1.0, 1.0, 2.0):
        await outcome(scene, "different", value=value)
    assert (scene.totals().pairs, scene.totals().disagreements) == (2, 2)


@pytest.mark.parametrize("weight", [0, 100_000])
@on_loop
async def test_a_caller_is_one_pair_in_a_sticky_rollout(weight):
    scene = shadowed(mode="header:x-user", weight=weight)
    placed = scene.rollouts.of("m")
    callers = [str(number) for number in range(50)]
    on_stable = [one for one in callers if placed.place(scene.trace(**{"x-user": one}).sender).arm != "canary"][:3]
    for caller in on_stable:
        for value in (1.0, 2.0):
            await outcome(scene, "same", value=value, **{"x-user": caller})
    assert scene.totals().pairs == 3


@on_loop
async def test_of_one_plan_few_samples_are_kept():
    scene = shadowed()
    scene.server.acts[CANARY] = answers(lambda array: -array)
    for _ in range(30):
        await outcome(scene, "different")
    assert len(scene.rollouts.take_samples()) == 20
    await outcome(scene, "different")
    assert scene.rollouts.take_samples() == []


@on_loop
async def test_at_the_end_its_calls_are_ended():
    scene = shadowed()
    gate = scene.server.acts[CANARY] = Gate()
    await scene.predict()
    await until(lambda: gate.waiting)
    await scene.shadow.close()
    assert scene.totals().pairs == 0
