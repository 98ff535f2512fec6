"""What predicts, as the dialects see it: the path of one prediction, or what chooses a version before that."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from gateway.deadline import Deadline
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.telemetry.trace import Trace

BuildInputs: TypeAlias = Callable[[Signature], Awaitable[Tensors]]
"""Makes the tensors of a request for a signature. Raises GatewayError. It may be called again, for another version."""


class AnyPredictor(Protocol):
    """Predicts on tensors."""

    def predict(
        self, model: ModelRef, trace: Trace, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...] = ()
    ) -> Coroutine[Any, Any, Prediction]:
        """Predict with the version that ``model`` means, on the tensors that ``build`` makes for the signature of ``trace``.

        ``outputs`` names the wanted ones (none: all); ``build`` must have refused what the signature does not give.

        Raises:
            GatewayError: whatever ``build``, the catalog or the backend raise.
            InvalidArgument: the version has no such signature.
        """


class AnyExamplePredictor(Protocol):
    """Predicts on tf.Examples."""

    def classify(
        self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline
    ) -> Coroutine[Any, Any, Classifications]:
        """Labels and scores by the version that ``model`` means, for the signature of ``trace``.

        Raises:
            GatewayError: whatever the catalog or the backend raise.
            InvalidArgument: the signature takes no examples, or the model refuses them; the message says what there is instead.
        """

    def regress(
        self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline
    ) -> Coroutine[Any, Any, Regressions]:
        """A value for each example. Raises as ``classify``."""
