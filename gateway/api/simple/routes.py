"""POST /predict[/<model>]: one example in, one prediction out. What does not fit the signature is refused before any call."""

import time
from collections.abc import Callable

from gateway.api import arrays, memory
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.body import Bodies
from gateway.api.errors import JSON
from gateway.api.json_body import JsonBody, Known
from gateway.api.memory import Memory
from gateway.api.routes import Route
from gateway.api.sight import default_model, visible
from gateway.api.simple import advice
from gateway.api.simple.answer import dump_prediction
from gateway.api.simple.body import FORM
from gateway.call import Answer, Call
from gateway.codec.elements import Array
from gateway.errors import GatewayError, InvalidArgument, NotFound, PermissionDenied, Unimplemented
from gateway.inference.catalog import Catalog
from gateway.inference.example_rows import ExampleRows
from gateway.inference.predictors import AnyPredictor, BuildInputs
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Prediction, Signature, Tensors
from gateway.inference.suggestions import listed_names, refuse_composite
from gateway.telemetry.trace import Trace


class Simple:
    """The handlers. A bare /predict means ``default_model``, or else the only one that is configured.

    Models that the caller may not know of do not count.
    """

    def __init__(
        self,
        predictor: AnyPredictor,
        example_rows: ExampleRows,
        catalog: Catalog,
        *,
        bodies: Bodies,
        memory: Memory,
        default_model: str,
    ) -> None:
        self._predictor = predictor
        self._example_rows = example_rows
        self._catalog = catalog
        self._bodies = bodies
        self._memory = memory
        self._default_model = default_model
        self._known: Known[dict[str, Array]] = Known(FORM)
        self._advisor = Advisor(catalog)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(rule, ("POST",), self.predict, on_loop=True, scope="predict") for rule in ("/predict", "/predict/<model>")
        ]

    async def predict(self, call: Call, model: str = "") -> Answer:
        """The answer to POST /predict, or to /predict/<model>."""
        started_s = call.parse_started_s = time.monotonic()
        asked = ModelRef(model or self._model_of_none(call))
        trace = call.begin(asked.name, DEFAULT_SIGNATURE)
        received, sent = await arrays.received_arrays(call, self._bodies, is_example=True), None
        if received is not None:
            example = _Example(received.load)
            build = received.building(example.build)
        else:
            sent = await self._read(call, asked)
            example = _Example(sent.load)
            build = self._memory.running(len(sent.data), example.build)
        call.parse_s = time.monotonic() - started_s
        try:
            return await self._answered(call, asked, trace, example, build)
        except (InvalidArgument, Unimplemented) as error:
            raise await self._explained(Refused(call, error, asked), trace, None if example.fits else sent) from None

    def _model_of_none(self, call: Call) -> str:
        """The name of the model of a call that names none."""
        name = default_model(call, self._catalog, self._default_model)
        if name:
            return name
        models = visible(call, self._catalog.configured())
        served = f"; served are: {listed_names(model.name for model in models)}" if models else ""
        if self._default_model:
            raise PermissionDenied(
                f"the key {call.caller.name} may not use the model of /predict; say which: POST /predict/<model>{served}"
            )
        raise NotFound(f"say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL{served}")

    async def _read(self, call: Call, model: ModelRef) -> JsonBody[dict[str, Array]]:
        data = await self._bodies.read(call, is_strict=True)
        try:
            return await self._memory.run(len(data), JsonBody, self._known, model, data)
        except InvalidArgument as error:
            raise await advice.unread_body(self._advisor, Refused(call, error, model), data) from None

    async def _answered(self, call: Call, model: ModelRef, trace: Trace, example: "_Example", build: BuildInputs) -> Answer:
        prediction = await self._predictor.predict(model, trace, build, call.deadline)
        # The example was given a batch dimension of 1 where the signature has one, which is taken off again.
        rows = await self._example_rows.of(prediction, example.signature, example.inputs, call.deadline)
        outputs = {
            name: array.reshape(array.shape[1:]) if name in rows else array for name, array in prediction.outputs.items()
        }
        return await self._memory.run(memory.tensor_bytes(outputs), _render, call, prediction, outputs)

    async def _explained(self, refused: Refused, trace: Trace, unfit: JsonBody[dict[str, Array]] | None) -> GatewayError:
        """The error, with what there is instead. ``unfit``: the body, if it does not fit the signature."""
        if isinstance(refused.error, InvalidArgument) and unfit is not None:
            return await advice.unfit_body(self._advisor, refused, unfit)
        if isinstance(refused.error, Unimplemented) or (trace.version is not None and not trace.is_known):
            return await advice.unanswered(self._advisor, refused)
        return refused.error


class _Example:
    """The one example of a body, which ``load`` makes for a signature.

    ``signature`` and ``inputs`` are of the last time, for which the answer is. ``fits`` says whether the body fitted then.
    """

    signature: Signature
    inputs: Tensors

    def __init__(self, load: Callable[[Signature], Tensors]) -> None:
        self._load = load
        self.fits = True

    def build(self, signature: Signature) -> Tensors:
        """The tensors for ``signature``. Raises what ``load`` raises, and Unimplemented for one with composite tensors."""
        refuse_composite(signature)
        self.signature, self.fits = signature, False
        self.inputs = self._load(signature)
        self.fits = True
        return self.inputs


def _render(call: Call, prediction: Prediction, outputs: Tensors) -> Answer:
    in_arrays = arrays.arrays_answer(call, outputs)
    if in_arrays is not None:
        return in_arrays
    return Answer(200, dump_prediction(prediction, outputs), [("Content-Type", JSON)])
