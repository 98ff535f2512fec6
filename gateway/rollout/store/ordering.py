"""What a person asks of a rollout, carried out in the database: begin one, or give the newest one of a model an order.

The command line and /admin/rollouts do the same by these. Every gateway follows what they write within two seconds. The times
are the database's: by another clock a step that a person begins would seem to be over, or to last.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.rollout.orders import Order, OrderRefused, obey, orders_of
from gateway.rollout.plan import Event, Plan
from gateway.rollout.starting import Wanted, plan_of
from gateway.rollout.store.seen import Seen, check_seen

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

# The gateways change the plan meanwhile. More attempts than changes that come in a row.
_ATTEMPTS: Final = 10


class IsRunning(Exception):
    """Raised when the model has a rollout that has not ended; ``plan`` is it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            f"{plan.model} has a rollout of version {plan.canary} already, which is {plan.state.words}: one at a time. "
            f"{_how_it_ends(plan)}"
        )
        self.plan = plan


def _how_it_ends(plan: Plan) -> str:
    """Which orders lead to its end from where it stands."""
    orders = [order for order in (Order.ABORT, Order.UNDO, Order.CLEAN) if order in orders_of(plan)]
    if not orders:
        return "It ends by itself in a moment"
    return " or ".join(f"`rollout {order} {plan.model}`" for order in orders) + " ends it"


class NoRollout(Exception):
    """Raised for a model that never had a rollout, or has none that the database remembers."""

    def __init__(self, model: str) -> None:
        super().__init__(f"there is no rollout of {model}")


def start(store: "Store", model: str, wanted: Wanted, by: str, *, seen: Seen | None = None) -> Plan:
    """The draft of a new rollout, which is in the database now.

    ``seen``: what the newest one before it must be; None: whatever that is.

    Raises:
        Unfit: ``wanted`` makes no plan.
        Outdated: the newest one before it is none of those ``seen``.
        IsRunning: the one before has not ended.
        StoreAway: the database cannot be used.
    """
    store.make_ready()
    previous = store.newest(model)
    check_seen(store, model, previous, seen)
    at_us = store.now_us()
    plan = plan_of(model, wanted, by, at_us, previous)
    event = Event(
        plan=plan.id, model=model, revision=plan.revision, ts_us=at_us, by=by, what="start", before="", after=plan.state
    )
    if store.create(plan, event):
        return plan
    raise IsRunning(store.newest(model) or plan)


@dataclass(frozen=True, slots=True)
class Given:
    """An order: who has given it, and why, in words of their own.

    ``weight``: of the order ``weight``, in millionths; None with every other. ``seen``: None for whatever the plan is by then.
    """

    order: Order
    by: str
    note: str = ""
    weight: int | None = None
    seen: Seen | None = None


def give(store: "Store", model: str, given: Given) -> tuple[Plan, Plan]:
    """The newest plan of the model before the order, and after it.

    Raises:
        NoRollout: the model has none.
        Outdated: the newest plan is none of those that were seen. Nothing was changed.
        OrderRefused: the order means nothing in the state that the plan is in.
        StoreAway: the database cannot be used.
    """
    for _ in range(_ATTEMPTS):
        before = newest(store, model)
        check_seen(store, model, before, given.seen)
        after, event = obey(before, given.order, store.now_us(), given.by, given.note, weight=given.weight)
        if store.change(before, after, event):
            return before, after
    raise OrderRefused(f"the rollout of {model} changed each time that the order was tried; try again")


def newest(store: "Store", model: str) -> Plan:
    """The newest plan of the model. Raises NoRollout and StoreAway."""
    plan = store.newest(model)
    if plan is None:
        raise NoRollout(model)
    return plan
