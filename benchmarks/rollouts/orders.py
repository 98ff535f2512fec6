"""Orders of a person while two gateways on one database answer: how soon everybody is answered by the right version."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.load.records import joined
from benchmarks.rollouts import versions
from benchmarks.rollouts.cases import AFTER_S, WARM_S
from benchmarks.rollouts.figures import failed, followed_after_s, sent_to
from benchmarks.rollouts.stack import Stack, at_s
from gateway.rollout.plan import State

GATEWAYS: Final = ("rollouts gateway one", "rollouts gateway two")
WORKERS: Final = 2
"""Of each."""
_LOADED_S: Final = 120.0
_SHARED_S: Final = 5.0


@dataclass(frozen=True)
class Ordered:
    """What two orders did, at both gateways: the time from each until the last answer of the version before it.

    ``plan``: by its id the logs say when the workers have followed.
    """

    plan: str
    promoted_s: float
    undone_s: float
    requests: int
    failed: int


def model_of(round_number: int) -> str:
    """The name of the model of a round."""
    return f"undo-{round_number}"


def measure(stack: Stack, model: str, rate: float) -> Ordered:
    """Promote an equal version and undo it, with half of the load at each gateway."""
    with ExitStack() as ending:
        loads = [stack.load(model, rate / len(GATEWAYS), gateway) for gateway in range(len(GATEWAYS))]
        for load in loads:
            ending.callback(load.end)
        time.sleep(WARM_S)
        stack.order("start", model, "--canary", str(versions.EQUAL), "--steps", "10%:manual", "--no-watch")
        _reach(stack, model, State.RUNNING, State.HOLDING)
        time.sleep(_SHARED_S)
        promoted_s = _give(stack, model, "promote", State.BAKE_AFTER)
        undone_s = _give(stack, model, "undo", State.ROLLED_BACK)
        answers = joined(*[load.finish() for load in loads])
    # Stable answers before the promotion, and again after the undo.
    by_stable = answers.answered_by(versions.STABLE).between(0.0, undone_s)
    return Ordered(
        stack.plan(model).id,
        followed_after_s(by_stable, promoted_s),
        followed_after_s(sent_to(answers, versions.EQUAL), undone_s),
        len(answers),
        failed(answers),
    )


def _give(stack: Stack, model: str, order: str, state: State) -> float:
    """Give the order and wait until it is followed, and a while longer; return when it was given."""
    stack.order(order, model)
    _reach(stack, model, state)
    time.sleep(AFTER_S)
    return at_s(stack.event(model, order))


def _reach(stack: Stack, model: str, *states: State) -> None:
    plan = stack.wait_for(model, states, _LOADED_S)
    if plan.state not in states:
        raise BenchError(f"{model} is not {states[0]} after {_LOADED_S:g} s: {stack.order('explain', model)}")
