"""The model servers behind the target as one: each call goes to one of them, and a status is that of all."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from copy import copy
from typing import Any, Final, TypeVar

from gateway.backend import stubs
from gateway.backend.client import BackendClient
from gateway.backend.servers.each import answers
from gateway.backend.servers.merging import View, merged
from gateway.backend.servers.server import Server
from gateway.backend.servers.servers import Servers
from gateway.backend.statuses import Away
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, NotFound, ResourceExhausted, Unavailable
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.status import Lag, ModelStatus
from gateway.inference.suggestions import is_unserved
from gateway.telemetry.logs import logger
from gateway.telemetry.spans import Spans

log = logger("backend")

Reply = TypeVar("Reply")

# These say that a server is busy, and nothing about the model.
_NO_NEWS: Final = (DeadlineExceeded, ResourceExhausted, Unavailable)
_NOT_CONNECTED: Final = "it is not connected"
_EJECTED: Final = "it is left out for a while, because its calls fail or it answers nothing"
_NO_ANSWER: Final = "it has not answered"


class Balanced:
    """Calls ``servers``. A call whose server goes away, or does not have the model any more, is made once more: by another one.

    Each call raises GatewayError as ``BackendClient`` does; Away when there is no server.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._lags: dict[str, tuple[Lag, ...]] = {}
        self.on_change = servers.on_change

    @property
    def is_connected(self) -> bool:
        """Whether any server is connected."""
        return self._servers.is_connected

    @property
    def problem(self) -> str:
        """Why none is connected, where a setting may be the cause; else empty."""
        return self._servers.problem

    @property
    def answered_s(self) -> float:
        """When one of them last answered a call, in seconds of ``time.monotonic``."""
        return self._servers.answered_s

    def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Coroutine[Any, Any, Prediction]:
        """As ``Backend.predict``."""

        def call(client: BackendClient) -> Awaitable[Prediction]:
            return client.predict(model, signature, inputs, outputs, deadline, spans=spans)

        return self._answer(model, _rows(inputs), deadline, call)

    def classify(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Coroutine[Any, Any, Classifications]:
        """As ``ExampleBackend.classify``."""

        def call(client: BackendClient) -> Awaitable[Classifications]:
            return client.classify(model, signature, examples, deadline, spans=spans)

        return self._answer(model, len(examples.examples), deadline, call)

    def regress(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Coroutine[Any, Any, Regressions]:
        """As ``ExampleBackend.regress``."""

        def call(client: BackendClient) -> Awaitable[Regressions]:
            return client.regress(model, signature, examples, deadline, spans=spans)

        return self._answer(model, len(examples.examples), deadline, call)

    async def metadata(self, model: ModelRef, deadline: Deadline) -> stubs.GetModelMetadataResponse:
        """As ``BackendClient.metadata``, of one of the servers that have the version.

        One that was loaded a moment ago is not known of any server yet, and may have answered a prediction: all are asked then.
        """

        def call(client: BackendClient) -> Awaitable[stubs.GetModelMetadataResponse]:
            return client.metadata(model, deadline)

        try:
            return await self._answer(model, 0, deadline, call)
        except NotFound:
            if self._servers.alone is not None:
                raise
            for server in filter(self._servers.is_well, self._servers.members):
                with suppress(NotFound):
                    return await server.run(0, call)
            raise

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """What all servers say of ``model`` together (``merging``). Raises GatewayError if none says anything."""
        alone = self._servers.alone
        if alone is not None:
            return (
                await alone.ask(model.name, deadline) if model.version is None else await alone.client.status(model, deadline)
            )
        replies = await answers(self._servers, model.name, deadline)
        if not any(isinstance(reply, ModelStatus) for reply in replies.values()):
            errors = [reply for reply in replies.values() if isinstance(reply, GatewayError)]
            raise copy(errors[0]) if errors else deadline.exceeded() if self._servers.members else Away()
        status = merged(model.name, [self._view(server, model.name, replies.get(server)) for server in self._servers.members])
        if not status.versions:
            raise NotFound(status.problem or f"Could not find any versions of model {model.name}")
        self._note_lags(model.name, status.lagging)
        if model.version is None:
            return status
        versions = tuple(version for version in status.versions if version.version == model.version)
        if not versions:
            raise NotFound(f"Could not find version {model.version} of model {model.name}")
        return ModelStatus(model.name, versions, lagging=status.lagging)

    def _answer(
        self, model: ModelRef, rows: int, deadline: Deadline, call: Callable[[BackendClient], Awaitable[Reply]]
    ) -> Coroutine[Any, Any, Reply]:
        """The reply to a ``call`` with so many rows. The only server costs nothing but the counting of its calls."""
        alone = self._servers.alone
        return self._shared(model, rows, deadline, call) if alone is None else alone.run(rows, call)

    async def _shared(
        self, model: ModelRef, rows: int, deadline: Deadline, call: Callable[[BackendClient], Awaitable[Reply]]
    ) -> Reply:
        server = self._servers.pick(model)
        if server is None:
            raise Away
        try:
            return await server.run(rows, call)
        except (Away, NotFound) as error:
            other = self._other(model, server, error, deadline)
            if other is None:
                raise
        return await other.run(rows, call)

    def _other(self, model: ModelRef, server: Server, error: GatewayError, deadline: Deadline) -> Server | None:
        """The server that a call goes to after the ``error`` of ``server``; None: its error is the answer."""
        if isinstance(error, NotFound):
            if not (server.has(model) and is_unserved(error)):
                return None
            server.forget(model.name)
            other = self._servers.pick(model, but=server)
            return other if other is not None and other is not server and other.has(model) else None
        return None if deadline.at_s <= time.monotonic() else self._servers.pick(model, but=server)

    def _view(self, server: Server, model: str, reply: ModelStatus | GatewayError | None) -> View:
        """What counts of a server: what it says, or what it said last, if it is in rotation."""
        if not server.is_connected and not isinstance(reply, ModelStatus):
            return View(server.address, absence=_NOT_CONNECTED)
        if self._servers.is_ejected(server):
            return View(server.address, absence=_EJECTED)
        status = reply if isinstance(reply, ModelStatus) else server.statuses.get(model)
        absence = reply.message if isinstance(reply, GatewayError) and not isinstance(reply, _NO_NEWS) else _NO_ANSWER
        return View(server.address, status, absence)

    def _note_lags(self, model: str, lags: tuple[Lag, ...]) -> None:
        """Log those that are new."""
        before = self._lags.get(model, ())
        for lag in lags:
            if lag not in before and lag.lacks not in (_NOT_CONNECTED, _EJECTED, _NO_ANSWER):
                log.warning("server.lags", address=lag.server, model=model, lacks=lag.lacks)
        if lags:
            self._lags[model] = lags
        else:
            self._lags.pop(model, None)


def _rows(inputs: Tensors) -> int:
    """How many rows a call has: the first dimension of its first input."""
    for array in inputs.values():
        return len(array) if array.ndim else 1
    return 1
