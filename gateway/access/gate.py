"""Lets calls in: with a key where there are keys, and within the limits of the key or of the client's address.

Routes that need no key get no caller's name, and where there are keys they tell of no model: health, readiness, pages.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from gateway.access.authenticator import Authenticator
from gateway.access.key import EVERY_MODEL, Key
from gateway.access.limits.addresses import Network, client_of, network_of
from gateway.access.limits.limiter import Admission, Limiter
from gateway.call import KEYLESS_SCOPES, Answer, Call
from gateway.errors import GatewayError, PermissionDenied, RateLimited, Unauthenticated
from gateway.telemetry.trace import Trace

GuardedHandler: TypeAlias = Callable[..., Coroutine[Any, Any, Answer]]


@dataclass(frozen=True, slots=True)
class AddressLimits:
    """The limits of a caller without a key, as text; ``proxies`` may say in X-Forwarded-For for whom they ask."""

    limits: str = ""
    proxies: Sequence[Network] = ()


class Gate:
    """Stands before the handlers of one worker. For one event loop.

    ``authenticator``: None where no keys are asked for. ``counted`` is called with ``ok`` for each key that lets a call in, and
    with why not for each call that is refused (see ``Authenticator.identify``; ``conflict`` for what it calls an argument).
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        limiter: Limiter,
        addresses: AddressLimits,
        counted: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._authenticator = authenticator
        self._limiter = limiter
        self._addresses = addresses
        self._counted = counted

    def guarded(self, scope: str, handler: GuardedHandler) -> GuardedHandler:
        """``handler`` for calls whose key, if there must be one, has ``scope``."""

        # No coroutine of its own: that would be another one for each request.
        def answer(call: Call, **values: str) -> Coroutine[Any, Any, Answer]:
            key = self._key(call)
            call.caller = Visitor(self._limiter, key, self._addresses)
            if key is not None:
                key.require(scope)
            return handler(call, **values)

        return answer

    def identified(self, handler: GuardedHandler) -> GuardedHandler:
        """``handler`` for calls with a key, if there must be one, whatever its scopes are."""

        def answer(call: Call, **values: str) -> Coroutine[Any, Any, Answer]:
            call.caller = Visitor(self._limiter, self._key(call), self._addresses)
            return handler(call, **values)

        return answer

    def opened(self, handler: GuardedHandler) -> GuardedHandler:
        """``handler`` for all calls, whatever key they have."""
        if self._authenticator is None:
            return handler

        async def answer(call: Call, **values: str) -> Answer:
            call.caller = STRANGER
            return await handler(call, **values)

        return answer

    def _key(self, call: Call) -> Key | None:
        if self._authenticator is None:
            return None
        try:
            key = self._authenticator.identify(call.headers, call.query)
        except GatewayError as error:
            self._counted(error.reason if isinstance(error, Unauthenticated) else "conflict")
            raise
        self._counted("ok")
        return key


class Stranger:
    """Who sends a call that needs no key, where other calls need one: a Caller."""

    name: str | None = None
    scopes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def may_see(self, model: str) -> bool:
        """It may know of no model."""
        return False

    def enter(self, call: Call, trace: Trace) -> None:
        """It gets no prediction."""
        raise PermissionDenied("a prediction needs a key")

    def headers(self) -> Sequence[tuple[str, str]]:
        """None."""
        return ()


STRANGER: Final = Stranger()


class Visitor:
    """Who sends one call: a Caller. ``key``: None for one that needs none."""

    __slots__ = ("_addresses", "_admission", "_key", "_limiter", "name")

    def __init__(self, limiter: Limiter, key: Key | None, addresses: AddressLimits) -> None:
        self.name = None if key is None else key.name
        self._key = key
        self._limiter = limiter
        self._addresses = addresses
        self._admission: Admission | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may do."""
        return KEYLESS_SCOPES if self._key is None else self._key.scopes

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that it may use, or patterns of them."""
        return EVERY_MODEL if self._key is None else self._key.models

    def may_see(self, model: str) -> bool:
        """Whether it may know of ``model``."""
        return self._key is None or self._key.allows_model(model)

    def enter(self, call: Call, trace: Trace) -> None:
        """Count the call. Raises PermissionDenied for a model that is not for its key, and RateLimited."""
        key, limits = self._key, self._addresses.limits
        if key is not None:
            key.require("predict", trace.model)
            limits = key.limits
        if not limits:
            return
        scope, name = ("key", key.name) if key is not None else ("address", self._network(call))
        try:
            self._admission = admission = self._limiter.admit(scope, name, limits, trace.model)
        except RateLimited:
            self._note_refusal(trace)
            raise
        if admission.has_sizes:
            trace.when_built = partial(self._charge, trace, len(call.body))
        if admission.is_open:
            call.when_answered += (partial(_leave, admission, trace),)

    def headers(self) -> Sequence[tuple[str, str]]:
        """What its answer says of its limits."""
        return () if self._admission is None else self._admission.headers()

    def _charge(self, trace: Trace, body_bytes: int, rows: int) -> None:
        if self._admission is None:
            return
        try:
            self._admission.charge(rows, body_bytes)
        except RateLimited:
            self._admission = None  # the error has headers of its own
            self._note_refusal(trace)
            raise

    def _note_refusal(self, trace: Trace) -> None:
        # Refusals are cheap and have no limit: with a row for each, anybody could fill the prediction log.
        trace.is_logged = self._key is not None

    def _network(self, call: Call) -> str:
        client = client_of(call.client, call.headers.get("x-forwarded-for", ""), self._addresses.proxies)
        return network_of(client)


def _leave(admission: Admission, trace: Trace) -> None:
    admission.close(int(trace.backend_s * 1000))
