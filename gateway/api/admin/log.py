"""GET /admin/log: the newest rows of the prediction log, as ``python -m gateway log tail`` reads them. Scope ``admin``.

Where no keys are asked for, everybody may see who asked which model when, but nobody what was asked and answered.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, TypeAlias

from gateway.access.key_text import hide_secrets
from gateway.api.admin.log_document import Documents
from gateway.api.admin.log_query import read_query
from gateway.api.admin.log_reader import LogReader
from gateway.api.errors import JSON
from gateway.api.routes import Route
from gateway.call import Answer, Call, Caller
from gateway.errors import NotFound, PermissionDenied
from gateway.prediction_log.documents import json_text
from gateway.prediction_log.sinks.sink import Filter

_OFF: Final = "the prediction log is off: GATEWAY_PREDICTION_LOG is not set"
_EVERY_MODEL: Final = "*"
_MOST_NAME: Final = 100

ModelNames: TypeAlias = Callable[[], Collection[str]]


class Log:
    """The handler. ``reader``: None when the prediction log is off. ``models``: the names of those that are served.

    ``has_keys``: whether callers need keys.
    """

    def __init__(self, reader: LogReader | None, models: ModelNames, *, has_keys: bool) -> None:
        self._reader = reader
        self._models = models
        self._has_keys = has_keys

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/admin/log", ("GET",), self.newest, scope="admin")]

    async def newest(self, call: Call) -> Answer:
        """The newest rows that the query asks for and the caller may see, the newest first."""
        if self._reader is None:
            raise NotFound(_OFF)
        where = self._visible(call.caller, read_query(call.query))
        documents = Documents(with_values=self._has_keys)
        rows = await self._reader.newest(where, call.deadline, documents.of)
        body = json_text({"rows": rows, "values": self._has_keys}).encode()
        return Answer(200, body, [("Content-Type", JSON), ("Cache-Control", "no-store")])

    def _visible(self, caller: Caller, where: Filter) -> Filter:
        """``where`` for what the caller may see: of a key for some models those that are served, and those that it names."""
        if where.model is not None and not caller.may_see(where.model):
            raise PermissionDenied(f"the key {caller.name} may not use the model {hide_secrets(where.model)[:_MOST_NAME]}")
        if _EVERY_MODEL in caller.models:
            return where
        return replace(where, models=frozenset(filter(caller.may_see, (*self._models(), *caller.models))))
