"""/admin/rollouts: where the rollouts stand, and the orders that ``python -m gateway rollout`` gives too. Scope ``admin``.

Every answer is JSON. Where there are no keys nobody may, since whoever reaches the gateway would decide what it answers.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from gateway.access.key_text import hide_secrets
from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied, Problem, Unavailable
from gateway.rollout.documents import event_document, explained_document, plan_document, status_document
from gateway.rollout.orders import Order
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
    "/admin needs a key, and this gateway asks for none: set GATEWAY_KEYS_FILE, and make one by "
    "`python -m gateway keys new NAME --scope admin`. `python -m gateway rollout` on the gateway's own machine needs no key"
)
_MOST_EVENTS: Final = 1000
_MOST_NAME: Final = 100
_MOST_NOTE: Final = 1000  # characters

Result = TypeVar("Result")
Pin: TypeAlias = Callable[[str], Awaitable[dict[str, Any]]]
"""Lets the model servers keep the versions of a model that they have loaded now, and tells of them for JSON."""
ModelNames: TypeAlias = Callable[[], Collection[str]]


class _Note(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an order, which may be left out."""

    note: Annotated[str, msgspec.Meta(max_length=_MOST_NOTE)] = ""


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
        return json_answer(await self._asked(_status, store, model))

    async def start(self, call: Call, model: str) -> Answer:
        """Begin a rollout. The answer is a draft: a gateway looks at it within a second, and refuses it or goes on."""
        store = self._store_for(call, model)
        wanted = read_wanted(await self._bodies.read(call, is_strict=True))
        if model not in self._models():
            raise NotFound(f"there is no model {_shown(model)}")
        return json_answer(plan_document(await self._asked(ordering.start, store, model, wanted, _name(call), _now_us())), 201)

    async def order(self, call: Call, model: str, order: str) -> Answer:
        """Give the newest rollout of a model an order."""
        store = self._store_for(call, model)
        note = _note(await self._bodies.read(call, is_strict=True))
        given = ordering.Given(Order(order), _name(call), _now_us(), note)
        _, after = await self._asked(ordering.give, store, model, given)
        return json_answer(plan_document(after))

    async def history(self, call: Call, model: str) -> Answer:
        """Who or what has changed the rollouts of a model, the newest first."""
        store = self._store_for(call, model)
        events = await self._asked(store.history, model, _MOST_EVENTS)
        return json_answer({"events": [event_document(event) for event in events]})

    async def explain(self, call: Call, model: str) -> Answer:
        """One sentence: why the newest rollout of a model is where it is; and samples of answers that differed."""
        store = self._store_for(call, model)
        return json_answer(await self._asked(_explained, store, model))

    async def pin(self, call: Call, model: str) -> Answer:
        """Let the model servers keep the versions that they have now, so that a new one in the folder changes nothing."""
        self._store_for(call, model)
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

    def _store(self) -> "Store":
        if not self._has_keys:
            raise PermissionDenied(_NO_KEYS)
        if self._opened is None:
            raise NotFound(_OFF)
        return self._opened

    def _store_for(self, call: Call, model: str) -> "Store":
        store = self._store()
        if not call.caller.may_see(model):
            raise PermissionDenied(f"the key {call.caller.name} may not use the model {_shown(model)}")
        return store


def _status(store: "Store", model: str) -> dict[str, Any]:
    plan = ordering.newest(store, model)
    return status_document(plan, store.totals(plan.id), list(store.workers().values()), store.samples(plan.id))


def _explained(store: "Store", model: str) -> dict[str, Any]:
    plan = ordering.newest(store, model)
    events = store.history(model, 1)
    sentence = explain(plan, store.totals(plan.id), events[0] if events and events[0].plan == plan.id else None)
    return explained_document(plan, sentence, store.samples(plan.id))


def _note(body: bytes) -> str:
    """What the body of an order says for the history."""
    if not body:
        return ""
    try:
        return hide_secrets(msgspec.json.decode(body, type=_Note).note)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError too
        problem = Problem("", f'nothing, or {{"note": "..."}} of up to {_MOST_NOTE} characters', str(error))
        raise InvalidArgument(str(problem), [problem]) from None


def _name(call: Call) -> str:
    return call.caller.name or "somebody"


def _shown(model: str) -> str:
    return hide_secrets(model)[:_MOST_NAME]


def _now_us() -> int:
    return time.time_ns() // 1000
