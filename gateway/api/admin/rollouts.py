"""/admin/rollouts: where the rollouts stand, and the orders that ``python -m gateway rollout`` gives too. Scope ``admin``.

Every answer is JSON. Where there are no keys, whoever reaches the gateway may look, without the samples of requests, and nobody
may order anything: any client would decide which version answers. An order with If-Match is only given to what its sender saw.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from gateway.access.key_text import hide_secrets
from gateway.api.admin.orders import read_order
from gateway.api.admin.revisions import headers_of, seen_by
from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.errors import AlreadyExists, NotFound, PermissionDenied, Unavailable
from gateway.rollout.documents import event_document, explained_document, plan_document, status_document
from gateway.rollout.orders import Order
from gateway.rollout.plan import GATEWAY, Plan
from gateway.rollout.samples import Sample
from gateway.rollout.sentences import explain
from gateway.rollout.starting import read_wanted
from gateway.rollout.store import ordering
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.ordering import IsRunning, NoRollout

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

_RULE: Final = "/admin/rollouts"
_OF_MODEL: Final = f"{_RULE}/<model>"
_OFF: Final = "rollouts are off: neither GATEWAY_STATE_DIR nor a SQL database in DATABASE_URL is set"
_NO_KEYS: Final = (
    "an order needs a key, and this gateway asks for none: set GATEWAY_KEYS_FILE, and make one by "
    "`python -m gateway keys new NAME --scope admin`. `python -m gateway rollout` on the gateway's own machine needs no key"
)
_MOST_EVENTS: Final = 1000
_MOST_NAME: Final = 100

Result = TypeVar("Result")
Pin: TypeAlias = Callable[[str], Awaitable[dict[str, Any]]]
"""Lets the model servers keep the versions of a model that they have loaded now, and tells of them for JSON."""
ModelNames: TypeAlias = Callable[[], Collection[str]]


class Rollouts:
    """The handlers. ``store``: None when rollouts are off. ``has_keys``: whether callers need keys."""

    def __init__(self, store: "Store | None", pin: Pin | None, models: ModelNames, bodies: Bodies, *, has_keys: bool) -> None:
        self._opened = store
        self._pin = pin
        self._models = models
        self._bodies = bodies
        self._has_keys = has_keys
        # The database has a few connections, of which the gateway itself always needs one.
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[Route]:
        """The routes. None is answered on the event loop: a database may be slow."""
        return [
            Route(_RULE, ("GET",), self.all, scope="admin"),
            Route(_OF_MODEL, ("GET",), self.one, scope="admin"),
            Route(_OF_MODEL, ("POST",), self.start, scope="admin"),
            Route(f"{_OF_MODEL}/pin", ("POST",), self.pin, scope="admin"),
            Route(f"{_OF_MODEL}/history", ("GET",), self.history, scope="admin"),
            Route(f"{_OF_MODEL}/explain", ("GET",), self.explain, scope="admin"),
            Route(f"{_OF_MODEL}/<any({', '.join(Order)}):order>", ("POST",), self.order, scope="admin"),
        ]

    async def all(self, call: Call) -> Answer:
        """The newest rollout of each model that the caller may know of."""
        store = self._store()
        plans = await self._asked(store.newest_of_all)
        return json_answer({"rollouts": [plan_document(plan) for plan in plans if call.caller.may_see(plan.model)]})

    async def one(self, call: Call, model: str) -> Answer:
        """The newest rollout of a model, what is known of it, and which workers follow it."""
        store = self._store_for(call, model)
        plan, document = await self._asked(_status, store, model, self._has_keys)
        return _answer(plan, document)

    async def start(self, call: Call, model: str) -> Answer:
        """Begin a rollout. The answer is a draft: a gateway looks at it within a second, and refuses it or goes on."""
        store = self._store_for(call, model, changes=True)
        wanted = read_wanted(await self._bodies.read(call, is_strict=True))
        if model not in self._models():
            raise NotFound(f"there is no model {_shown(model)}")
        plan = await self._asked(partial(ordering.start, seen=seen_by(call)), store, model, wanted, _name(call))
        return _answer(plan, plan_document(plan), 201)

    async def order(self, call: Call, model: str, order: str) -> Answer:
        """Give the newest rollout of a model an order."""
        store = self._store_for(call, model, changes=True)
        note, weight = read_order(Order(order), await self._bodies.read(call, is_strict=True))
        given = ordering.Given(Order(order), _name(call), note, weight, seen_by(call))
        _, after = await self._asked(ordering.give, store, model, given)
        return _answer(after, plan_document(after))

    async def history(self, call: Call, model: str) -> Answer:
        """Who or what has changed the rollouts of a model, the newest first."""
        store = self._store_for(call, model)
        events = await self._asked(store.history, model, _MOST_EVENTS)
        return json_answer({"events": [event_document(event) for event in events]})

    async def explain(self, call: Call, model: str) -> Answer:
        """One sentence: why the newest rollout of a model is where it is; and samples of answers that differed."""
        store = self._store_for(call, model)
        return json_answer(await self._asked(_explained, store, model, self._has_keys))

    async def pin(self, call: Call, model: str) -> Answer:
        """Let the model servers keep the versions that they have now, so that a new one in the folder changes nothing."""
        self._store_for(call, model, changes=True)
        if self._pin is None or model not in self._models():
            raise NotFound(f"there is no model {_shown(model)}")
        return json_answer(await self._pin(model))

    async def _asked(self, ask: Callable[..., Result], *arguments: Any) -> Result:
        """What ``ask`` answers in a thread. What the database and the rules say against it becomes an error of the tree."""
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(ask, *arguments)
        except IsRunning as error:
            raise AlreadyExists(str(error)) from None
        except NoRollout as error:
            raise NotFound(str(error)) from None
        except StoreAway as away:
            raise Unavailable(f"the database of rollouts cannot be used: {away}") from None

    def _store(self, *, changes: bool = False) -> "Store":
        """``changes``: for an order. Where there are no keys, nobody may give one."""
        if changes and not self._has_keys:
            raise PermissionDenied(_NO_KEYS)
        if self._opened is None:
            raise NotFound(_OFF)
        return self._opened

    def _store_for(self, call: Call, model: str, *, changes: bool = False) -> "Store":
        store = self._store(changes=changes)
        if not call.caller.may_see(model):
            raise PermissionDenied(f"the key {call.caller.name} may not use the model {_shown(model)}")
        return store


def _answer(plan: Plan, document: dict[str, Any], status: int = 200) -> Answer:
    answer = json_answer(document, status)
    answer.headers.extend(headers_of(plan))
    return answer


def _status(store: "Store", model: str, may_see_samples: bool) -> tuple[Plan, dict[str, Any]]:
    plan = ordering.newest(store, model)
    workers, samples = list(store.workers().values()), _samples(store, plan, may_see_samples)
    return plan, status_document(plan, store.totals(plan.id), workers, samples)


def _explained(store: "Store", model: str, may_see_samples: bool) -> dict[str, Any]:
    plan = ordering.newest(store, model)
    events = store.history(model, 1)
    sentence = explain(plan, store.totals(plan.id), events[0] if events and events[0].plan == plan.id else None)
    return explained_document(plan, sentence, _samples(store, plan, may_see_samples))


def _samples(store: "Store", plan: Plan, may_see: bool) -> Sequence[Sample] | None:
    """They hold parts of answers to other callers, so that only a key shows them."""
    return store.samples(plan.id) if may_see else None


def _name(call: Call) -> str:
    """For the history. No new key has the name by which the gateway itself stands there; an older one is marked."""
    name = call.caller.name or "somebody"
    return f"key {name}" if name == GATEWAY else name


def _shown(model: str) -> str:
    return hide_secrets(model)[:_MOST_NAME]
