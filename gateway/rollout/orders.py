"""What a person may order of a rollout, and the plan that comes of it. Pure: an order is a value until the store writes it.

A plan that ended never begins again. An order that means nothing where the plan stands is refused, with what can be done.
"""

import dataclasses
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from gateway.errors import FailedPrecondition
from gateway.rollout.changes import Change, change
from gateway.rollout.plan import WHOLE, Hold, Plan, State, standing
from gateway.rollout.steps import share_text

MOST_STEPS: Final = 200
"""An order ``weight`` adds a step to a plan that has fewer. Each step has sums of its own in the database."""


class Order(StrEnum):
    """What a person may order."""

    STEP = "step"
    WEIGHT = "weight"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    UNDO = "undo"
    CLEAN = "clean"


UNDONE: Final = "undone by"
"""How the reason of a rollout begins that a person took back."""


class OrderRefused(FailedPrecondition, http_status=409):
    """Raised when an order means nothing where the plan stands; the message says where that is and what can be done."""


def obey(plan: Plan, order: Order, now_us: int, by: str, note: str = "", *, weight: int | None = None) -> Change:
    """The plan after ``order`` by the person or key ``by``, and the row of the history.

    ``weight``: the part of the requests that the order ``weight`` gives the canary, in millionths; None with every other order.

    Raises:
        OrderRefused: the order means nothing where the plan stands.
        ValueError: the order ``weight`` has no weight between 0 and ``WHOLE``, or another one has one.
    """
    if (order is Order.WEIGHT) != (weight is not None):
        raise ValueError(f"expected a weight with the order weight and with no other, got {weight} with {order}")
    if order not in orders_of(plan):
        raise OrderRefused(_refusal(plan, order))
    if weight is not None:
        note = ": ".join(filter(None, (f"{share_text(weight)} of the requests", note)))
    values = _VALUES[order](plan, by) if weight is None else _weighted(plan, weight)
    if values.get("reason"):
        values["reason"] = ": ".join(filter(None, (values["reason"], note)))
    return change(plan, now_us, order.value, by=by, note=values.get("reason") or note, **values)


def orders_of(plan: Plan) -> tuple[Order, ...]:
    """The orders that can be given now."""
    return tuple(order for order in Order if _CAN[order](plan))


def next_step(plan: Plan, promoted: str) -> dict[str, Any]:
    """The values of a plan that goes on to its next step; after the last one it is ``promoted``, which says why."""
    if plan.step + 1 == len(plan.steps):
        return promotion(promoted)
    return {
        "state": State.RUNNING,
        "hold": Hold.NONE,
        "reason": "",
        "step": plan.step + 1,
        "weight": plan.steps[plan.step + 1].weight,
        "next_look": 0,
    }


def promotion(reason: str) -> dict[str, Any]:
    """The values of a plan whose canary gets every request."""
    return {"state": State.PROMOTING, "hold": Hold.NONE, "reason": reason, "weight": WHOLE, "is_frozen": False}


def way_back(reason: str) -> dict[str, Any]:
    """The values of a plan whose stable gets every request again, because the canary failed."""
    return {"state": State.ROLLING_BACK, "hold": Hold.NONE, "reason": reason, "weight": 0, "is_frozen": False}


def _weighted(plan: Plan, weight: int) -> dict[str, Any]:
    """The values of a plan that goes on to a step of its own with ``weight``, which takes as long as the current one.

    The weights of the steps after it still rise: those that would not are left out.
    """
    if not 0 < weight < WHOLE:
        raise ValueError(f"expected a weight between 0 and {WHOLE}, got {weight}")
    following = plan.step + 1
    later = (step for step in plan.steps[following:] if step.weight > weight)
    steps = (*plan.steps[:following], dataclasses.replace(plan.current, weight=weight), *later)
    return next_step(dataclasses.replace(plan, steps=steps), "") | {"steps": steps}


def _pause(plan: Plan, by: str) -> dict[str, Any]:
    if plan.hold in _NOT_ENDED_BY_PAUSE:
        return {"state": State.PAUSED, "reason": plan.reason}
    return {"state": State.PAUSED, "hold": Hold.NONE, "reason": f"paused by {by}"}


def _resume(plan: Plan, _by: str) -> dict[str, Any]:
    # The file is written, and the versions are loaded, once more; nobody is sent to the canary until then.
    loads = plan.hold in (Hold.FILE_CHANGED, Hold.NOT_LOADED)
    state = {"state": State.LOADING, "stays_open": True} if loads else {"state": State.RUNNING}
    return _anew(plan) | state | {"hold": Hold.NONE, "reason": ""}


def _anew(plan: Plan) -> dict[str, Any]:
    """Evidence that has frozen a rollout is proof for ever. A person who goes on begins with none, and the step once more."""
    if not plan.is_frozen:
        return {}
    again = plan.step + 1
    steps = (*plan.steps[:again], plan.current, *plan.steps[again:])
    return {"is_frozen": False, "steps": steps, "step": again, "evidence_from": again, "next_look": 0}


def _abort(plan: Plan, by: str) -> dict[str, Any]:
    # A draft has changed nothing, but for what the rollout before it has left.
    is_open = plan.stays_open if plan.state is State.DRAFT else plan.is_open
    reason = f"aborted by {by}"
    return {"state": State.ABORTED, "hold": Hold.NONE, "reason": reason, "weight": 0, "is_frozen": False, "is_open": is_open}


def _can_step(plan: Plan) -> bool:
    return plan.state is State.RUNNING or (plan.state is State.HOLDING and plan.hold in _PASSED_BY_STEP)


def _can_resume(plan: Plan) -> bool:
    return plan.state is State.PAUSED or (plan.state is State.HOLDING and plan.hold in _NOT_ENDED_BY_PAUSE)


def _can_clean(plan: Plan) -> bool:
    return plan.is_open and not plan.drops_other and (plan.is_ended or plan.state is State.BAKE_AFTER)


_NOT_ENDED_BY_PAUSE: Final = frozenset({Hold.NOT_LOADED, Hold.FILE_CHANGED, Hold.FROZEN})
_PASSED_BY_STEP: Final = frozenset({Hold.GATE, Hold.NO_DATA, Hold.SUSPICIOUS, Hold.SPLIT})

_CAN: Final[dict[Order, Callable[[Plan], bool]]] = {
    Order.STEP: _can_step,
    Order.WEIGHT: lambda plan: _can_step(plan) and len(plan.steps) < MOST_STEPS,
    Order.PAUSE: lambda plan: plan.state in (State.RUNNING, State.HOLDING),
    Order.RESUME: _can_resume,
    # A version that a server does not serve would answer nobody there.
    Order.PROMOTE: lambda plan: plan.is_sharing and plan.hold is not Hold.NOT_LOADED,
    Order.ABORT: lambda plan: plan.is_sharing or plan.state in (State.DRAFT, State.LOADING, State.WARMING),
    Order.UNDO: lambda plan: plan.state in (State.PROMOTING, State.BAKE_AFTER) and not plan.drops_other,
    Order.CLEAN: _can_clean,
}

_VALUES: Final[dict[Order, Callable[[Plan, str], dict[str, Any]]]] = {
    Order.STEP: lambda plan, by: next_step(plan, f"promoted by {by}"),
    Order.PAUSE: _pause,
    Order.RESUME: _resume,
    Order.PROMOTE: lambda _plan, by: promotion(f"promoted by {by}"),
    Order.ABORT: _abort,
    Order.UNDO: lambda _plan, by: way_back(f"{UNDONE} {by}"),
    Order.CLEAN: lambda _plan, _by: {"drops_other": True},
}


def _refusal(plan: Plan, order: Order) -> str:
    why = f": {plan.reason}" if plan.reason else ""
    said = f"the rollout of version {plan.canary} of {plan.model} is {standing(plan.state, plan.hold)}{why}"
    orders = ", ".join(f"`{one}`" for one in orders_of(plan)) or _nothing(plan)
    return f"`{order}` cannot be done: {said}; what can be done now: {orders}"


def _nothing(plan: Plan) -> str:
    return "`start` of a new one" if plan.is_ended else "only waiting"
