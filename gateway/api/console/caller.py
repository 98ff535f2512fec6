"""/admin/console/caller: what the key of whoever asks is called, and what it allows."""

from typing import Any, Final

from gateway.api.errors import json_answer
from gateway.api.routes import ANY_KEY, Route
from gateway.call import Answer, Call

_NO_KEYS: Final = (
    "this gateway asks for no keys, and without one nothing can be changed: set GATEWAY_KEYS_FILE, and make a key by "
    "`python -m gateway keys new NAME --scope admin`"
)


class Caller:
    """The handler. ``has_keys``: whether callers need keys."""

    def __init__(self, *, has_keys: bool) -> None:
        self._has_keys = has_keys

    def routes(self) -> list[Route]:
        """The route, for which any key that is valid will do."""
        return [Route("/admin/console/caller", ("GET",), self.caller, on_loop=True, scope=ANY_KEY)]

    async def caller(self, call: Call) -> Answer:
        """Who asks, and what it may do."""
        caller = call.caller
        why_not = self._why_no_change(caller.name, caller.scopes)
        document: dict[str, Any] = {
            "keys": "on" if self._has_keys else "off",
            "name": caller.name,
            "scopes": list(caller.scopes),
            "models": list(caller.models),
            "can_change": not why_not,
            "why_not": why_not,
        }
        answer = json_answer(document)
        answer.headers.append(("Cache-Control", "no-store"))
        return answer

    def _why_no_change(self, name: str | None, scopes: tuple[str, ...]) -> str:
        if not self._has_keys:
            return _NO_KEYS
        return "" if "admin" in scopes else f"the key {name} has no scope admin; it has {', '.join(scopes)}"
