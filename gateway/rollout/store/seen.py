"""What a person has seen of a rollout when they decide, held against what it is by then.

Two people who decide at the same time cannot overwrite each other: the order of the second one is refused.
"""

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.errors import PreconditionFailed
from gateway.rollout.plan import Event, Plan, standing
from gateway.rollout.sentences import clock
from gateway.rollout.steps import share_text

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

Seen: TypeAlias = AbstractSet[tuple[str, int]]
"""Ids of plans, each with a revision: one of them must be the newest plan of the model."""


class Outdated(PreconditionFailed):
    """Raised when the newest plan of a model is none of those that were seen; the message says what it is, and by whom."""


_THEN: Final = "Look at what it is now, and give the order again if it is still right"


def check_seen(store: "Store", model: str, newest: Plan | None, seen: Seen | None) -> None:
    """Raise Outdated unless ``newest``, the newest plan of ``model``, is one of those ``seen``. None: it may be any."""
    if seen is None or (newest is not None and (newest.id, newest.revision) in seen):
        return
    if newest is None:
        raise Outdated(f"nothing was done: there is no rollout of {model} that could have been seen")
    raise Outdated(f"nothing was done: {_what_changed(newest, seen)}, {_stands(newest)}{_by_whom(store, newest)}. {_THEN}")


def _what_changed(plan: Plan, seen: Seen) -> str:
    about = f"version {plan.canary} of {plan.model}"
    before = " or ".join(str(revision) for plan_id, revision in sorted(seen) if plan_id == plan.id)
    if before:
        return f"the rollout of {about} has changed: revision {before} was seen, and it is now at revision {plan.revision}"
    return f"what was seen is not the newest rollout: that is {plan.id}, of {about}, at revision {plan.revision}"


def _stands(plan: Plan) -> str:
    step = f", step {plan.step + 1} of {len(plan.steps)}" if plan.is_sharing else ""
    return f"{standing(plan.state, plan.hold)}{step}, with {share_text(plan.canary_weight)} of the requests"


def _by_whom(store: "Store", plan: Plan) -> str:
    """The newest row of the history, unless that tells of a later plan already."""
    events = [event for event in store.history(plan.model, 1) if event.plan == plan.id]
    return "".join(
        f"; the newest change: `{event.what}` by {event.by} at {clock(event.ts_us)}{_why(event)}" for event in events
    )


def _why(event: Event) -> str:
    return f" ({event.reason})" if event.reason else ""
