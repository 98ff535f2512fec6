"""Which models, versions and signatures there are: what the parts of the gateway ask about it."""

from typing import Any, Protocol

from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.status import ModelStatus


class Catalog(Protocol):
    """Follows the model server. What is ``async`` may ask the server, and raises GatewayError."""

    async def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means, as far as is known, with its signatures."""

    async def refreshed(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means at this moment."""

    async def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of a model, as the server reports them at this moment."""

    async def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of TensorFlow Serving's metadata route."""

    def note_missing(self, model: ModelRef) -> None:
        """The server does not serve ``model``, whatever is known of it."""

    def models(self) -> tuple[ModelStatus, ...]:
        """Every model that is known, by name."""

    def known(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known, newest first."""

    def required(self) -> tuple[ModelStatus, ...]:
        """The models without which the gateway is not ready."""

    def configured(self) -> tuple[ModelStatus, ...]:
        """The models of the model config file; none without one."""

    def is_reachable(self) -> bool:
        """Whether the connection to the server stands."""
