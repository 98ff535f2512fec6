"""A :predict body between its parsing and its answer: how it was made into tensors is needed again for both."""

from collections.abc import Callable
from typing import Final

from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.json_body import JsonBody
from gateway.api.tfserving import advice
from gateway.api.tfserving.body import PredictBody
from gateway.codec.problems import json_pointer
from gateway.errors import GatewayError, InvalidArgument, Problem
from gateway.inference import suggestions
from gateway.inference.signature import ModelRef, Signature, Tensors
from gateway.inference.suggestions import refuse_composite
from gateway.telemetry.trace import Trace

_MODELS_OWN: Final = "the model itself refused these values"


class PredictDocument:
    """One body, which ``load`` makes into tensors for a signature. Not thread-safe."""

    def __init__(self, load: Callable[[Signature], PredictBody]) -> None:
        self._load = load
        self._signature: Signature | None = None
        self._body: PredictBody | None = None

    def build(self, signature: Signature) -> Tensors:
        """The tensors for ``signature``. Raises what ``load`` raises, and Unimplemented for one with composite tensors."""
        refuse_composite(signature)
        self._signature, self._body = signature, None
        self._body = self._load(signature)
        return self._body.tensors

    @property
    def is_row(self) -> bool:
        """Whether it came in row format."""
        return self._body is not None and self._body.row

    async def explained(
        self, advisor: Advisor, refused: Refused, trace: Trace, sent: JsonBody[PredictBody] | None
    ) -> GatewayError:
        """The refusal of a body that could be read (``sent``; None: arrays), with what there is instead.

        What the catalog refuses says so already.
        """
        error, is_loaded = self._with_shapes(refused.error), self._body is not None
        fits = is_loaded and not (isinstance(error, InvalidArgument) and error.problems)
        if fits and isinstance(error, InvalidArgument) and self._signature is not None:
            return suggestions.with_lines(
                error, [f"The request fits {suggestions.listed_tensors(self._signature.inputs)}: {_MODELS_OWN}"]
            )
        if trace.version is None or sent is None or fits:
            return error
        by_version = Refused(refused.call, error, ModelRef(trace.model, trace.version))
        if is_loaded or not trace.is_known:
            return await advice.predict_unfit(advisor, by_version, trace.signature, is_row=self.is_row)
        return await advice.predict_misread(advisor, by_version, trace.signature, sent)

    def _with_shapes(self, error: GatewayError) -> GatewayError:
        """``error`` with what the signature expected, if the model refused shapes that were forwarded and do not fit it."""
        if self._signature is None or self._body is None or not isinstance(error, InvalidArgument):
            return error
        problems = _mismatches(self._signature, self._body.tensors, self._body.row)
        return InvalidArgument("\n".join([error.message, *map(str, problems)]), problems)


def _mismatches(signature: Signature, tensors: Tensors, row: bool) -> tuple[Problem, ...]:
    """One problem for each tensor of a TensorFlow Serving :predict body whose shape does not fit its declaration."""
    return tuple(
        Problem(_place(spec.name, signature, row), str(spec), f"shape {list(tensors[spec.name].shape)}")
        for spec in signature.inputs
        if spec.name in tensors and not spec.fits(tensors[spec.name].shape)
    )


def _place(name: str, signature: Signature, row: bool) -> str:
    if len(signature.inputs) == 1:
        return json_pointer(["instances" if row else "inputs"])
    return json_pointer(["instances", "*", name] if row else ["inputs", name])
