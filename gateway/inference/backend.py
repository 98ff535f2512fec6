"""What runs models, as the layers of ``inference`` see it: the gRPC client, and what wraps it."""

from typing import Protocol

from gateway.deadline import Deadline
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.telemetry.spans import Spans


class Backend(Protocol):
    """Runs signatures on tensors."""

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Prediction:
        """Run a signature; ``outputs`` names the wanted ones (none: all). Raises GatewayError.

        ``spans`` are those of the requests that the call is for.
        """


class ExampleBackend(Protocol):
    """Runs signatures that take tf.Examples. Both calls raise GatewayError."""

    async def classify(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Classifications:
        """Labels and scores for each example."""

    async def regress(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Regressions:
        """A value for each example."""


class ModelBackend(Backend, ExampleBackend, Protocol):
    """Runs signatures of both kinds."""
