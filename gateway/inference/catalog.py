"""What is known of the models that are served, as the layers above the catalog see it."""

from typing import Any, Protocol

from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.status import ModelStatus


class Catalog(Protocol):
    """Knows which versions are served, with which signatures.

    The calls with a deadline may ask the model server, and raise GatewayError (NotFound: no such model or version is served;
    InvalidArgument: no such label). The others answer from memory, at once.
    """

    async def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means, as far as is known."""

    async def refreshed(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means at this moment, asked of the server."""

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of ``model`` as the server reports them now; a label is resolved first."""

    async def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of TensorFlow Serving's metadata route for ``model``."""

    def note_missing(self, model: ModelRef) -> None:
        """The server has refused a call because it does not serve ``model``: what is remembered of it is forgotten."""

    def models(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of every model that is configured or was asked for, by name."""

    def known(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known, newest first."""

    def required(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of the models that must be served: those of the config file, or all when there is none."""

    def configured(self) -> tuple[ModelStatus, ...]:
        """The models of the config file; none without one. Every worker answers the same."""

    def is_reachable(self) -> bool:
        """Whether the connection to the server stands."""

    def connection_problem(self) -> str:
        """Why there is no connection to the server, where a setting may be the cause; else empty."""
