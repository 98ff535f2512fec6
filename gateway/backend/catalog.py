"""Which models, versions and signatures exist: asked of the server, followed by polling, remembered between polls.

The server's model config file says which models there should be. A name that is not in it is asked for when a request brings
it, and followed from then on for as long as the server serves it. For one event loop.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, TypeVar

from gateway.backend import replies
from gateway.backend.asked import Asked
from gateway.backend.known_models import KnownModels
from gateway.backend.model_config import ModelConfigFile
from gateway.backend.poll import Poll
from gateway.deadline import Deadline
from gateway.errors import InvalidArgument, NotFound
from gateway.inference import suggestions
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.single_flight import SingleFlight
from gateway.inference.status import ModelStatus

Reply = TypeVar("Reply")


class Catalog:
    """``served`` answers from memory when it can; ``status`` and ``metadata`` ask the server each time."""

    def __init__(
        self,
        client: Asked,
        config_file: ModelConfigFile | None,
        poll_s: float,
        on_gone: Collection[Callable[[Collection[tuple[str, int]]], None]] = (),
    ) -> None:
        """Each of ``on_gone`` is called with the names and numbers of versions that are no longer served; it must not wait."""
        self._client = client
        self._config_file = config_file
        self._known = KnownModels(config_file, poll_s, on_gone)
        self._questions: SingleFlight[ServedModel] = SingleFlight()
        self._poll = Poll(client, self._known, poll_s, self.refreshed)

    def start(self) -> None:
        """Begin to poll on the running event loop: at the set interval, and at once when the server goes away or comes back."""
        self._poll.start()

    async def first_look(self) -> None:
        """Wait for the first answers about the models that are known by name: for a second at most."""
        await self._poll.first_look()

    async def close(self) -> None:
        """Stop polling."""
        await self._poll.close()

    def models(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of every configured or followed model, by name."""
        return self._known.statuses()

    def known(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known, newest first. Never asks the server."""
        return self._known.versions(name)

    def required(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of the models that must be served: those of the config file, or all when there is none."""
        return self.models() if self._config_file is None else self.configured()

    def configured(self) -> tuple[ModelStatus, ...]:
        """The models of the config file; none without one: so every worker answers the same."""
        known = {} if self._config_file is None else self._config_file.labels
        return tuple(model for model in self.models() if model.name in known)

    def is_reachable(self) -> bool:
        """Whether the connection to the server stands."""
        return self._client.is_connected

    def connection_problem(self) -> str:
        """Why there is no connection to the server, where a setting may be the cause; else empty."""
        return self._client.problem

    async def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means now, with its signatures. Requests that ask at the same time share one question.

        Raises:
            NotFound: no such model or version is served.
            InvalidArgument: no such label.
            GatewayError: the server could not be asked.
        """
        model = model.of_any_lane
        found = self._known.served(model)
        if found is not None:
            return found
        return await self._questions.ask(model, deadline, partial(self._ask, model, deadline))

    async def refreshed(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means at this moment, asked of the server. Raises as ``served``."""
        model = model.of_any_lane
        return await self._questions.ask_anew(model, deadline, partial(self._ask, model, deadline))

    def note_missing(self, model: ModelRef) -> None:
        """The server has refused a call because it does not serve ``model``: what is remembered of it is forgotten.

        It may be back, as another model under the same number, before the next poll.
        """
        if self._known.note_missing(model):
            self._poll.poll_soon()

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of ``model`` as the server reports them now; a label is resolved first. Raises as ``served``."""
        if model.label is not None:
            model = ModelRef(model.name, (await self.served(model, deadline)).version)
        status = await self._answered(model, self._client.status(model, deadline))
        if model.version is None:
            self._known.note_status(status)
        return status

    async def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of TensorFlow Serving's metadata route for ``model``. Raises as ``served``."""
        return replies.metadata_json(await self._answered(model, self._client.metadata(model, deadline)))

    async def _ask(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """Ask the server what ``model`` means, and follow the model from now on."""
        reply = await self._answered(model, self._client.metadata(model, deadline))
        served = replies.served_model(reply)
        if served.version not in self._known.status(served.name).available:
            self._poll.poll_soon()
        return self._known.note_answer(model, served)

    async def _answered(self, model: ModelRef, question: Awaitable[Reply]) -> Reply:
        """The reply to ``question`` about ``model``. A refusal of what is not there also says, from memory, what is.

        No context manager: under Python 3.13 its frames and the error would be a cycle that holds the request.
        """
        try:
            return await question
        except (NotFound, InvalidArgument) as error:
            labels = () if self._config_file is None else self._config_file.labels.get(model.name, ())
            raise suggestions.not_found(error, model, self.models(), labels) from None
