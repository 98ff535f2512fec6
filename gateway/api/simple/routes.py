"""POST /predict[/<model>]: one example in, one prediction out. What does not fit the signature is refused before any call."""

import time
from collections.abc import Callable
from typing import Final

from gateway.api import arrays, memory
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.body import Bodies
from gateway.api.errors import JSON
from gateway.api.json_body import Form, JsonBody, Known
from gateway.api.memory import Memory
from gateway.api.routes import Route
from gateway.api.simple import advice, answer, body, typed_body
from gateway.call import Answer, Call
from gateway.codec.elements import Array
from gateway.errors import InvalidArgument, NotFound, Unimplemented
from gateway.inference.catalog import Catalog
from gateway.inference.example_rows import ExampleRows
from gateway.inference.predictor import Predictor
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Prediction, Signature, Tensors
from gateway.inference.suggestions import listed, refuse_composite
from gateway.telemetry.trace import Trace

FORM: Final[Form[dict[str, Array]]] = Form(typed_body.decoder, body.accept, body.load, strict=True)
"""How a /predict body is read."""


class Simple:
    """The handlers. A bare /predict means ``default_model``, or when that is empty the only one that is configured."""

    def __init__(
        self,
        predictor: Predictor,
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
        return [Route(rule, ("POST",), self.predict, on_loop=True) for rule in ("/predict", "/predict/<model>")]

    async def predict(self, call: Call, model: str = "") -> Answer:
        """The answer to POST /predict, or to /predict/<model>."""
        asked = ModelRef(model or self._default_model or self._only())
        trace = call.trace = Trace(asked.name, DEFAULT_SIGNATURE)
        try:
            return await self._predict(call, asked, trace)
        except Unimplemented as error:
            raise await advice.without_form(self._advisor, Refused(call, error, asked)) from None
        except InvalidArgument as error:
            if trace.version is None or trace.is_known:
                raise
            raise await advice.unknown(self._advisor, Refused(call, error, asked)) from None

    def _only(self) -> str:
        models = self._catalog.configured()
        if len(models) == 1:
            return models[0].name
        served = f"; served are: {listed(model.name for model in models)}" if models else ""
        raise NotFound(f"say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL{served}")

    async def _predict(self, call: Call, model: ModelRef, trace: Trace) -> Answer:
        started_s = time.monotonic()
        sent, size = None, len(call.body)
        load = await arrays.received(call, self._bodies, is_example=True)
        if load is None:
            sent = await self._read(call, model)
            load, size = sent.load, len(sent.data)
        call.parse_s = time.monotonic() - started_s
        example = _Example(load)
        try:
            prediction = await self._predictor.predict(model, trace, self._memory.running(size, example.build), call.deadline)
        except InvalidArgument as error:
            if example.fits or sent is None:
                raise
            raise await advice.unfit(self._advisor, Refused(call, error, model), sent) from None
        # The example was given a batch dimension of 1 where the signature has one, which is taken off again.
        rows = await self._example_rows.of(prediction, example.signature, example.inputs, call.deadline)
        outputs = {
            name: array.reshape(array.shape[1:]) if name in rows else array for name, array in prediction.outputs.items()
        }
        return await self._memory.run(memory.size(outputs), _render, call, prediction, outputs)

    async def _read(self, call: Call, model: ModelRef) -> JsonBody[dict[str, Array]]:
        data = await self._bodies.read(call, is_strict=True)
        try:
            return await self._memory.run(len(data), JsonBody, self._known, model, data)
        except InvalidArgument as error:
            raise await advice.unread(self._advisor, Refused(call, error, model), data) from None


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
    in_arrays = arrays.answer(call, outputs)
    if in_arrays is not None:
        return in_arrays
    return Answer(200, answer.dump(prediction, outputs), [("Content-Type", JSON)])
