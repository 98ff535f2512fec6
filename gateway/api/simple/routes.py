"""POST /predict[/<model>]: one example in, one prediction out. What does not fit the signature is refused before any call."""

import time
from collections.abc import Callable

import orjson
from flask import Blueprint

from gateway.api import array_body, body, request_body, requests, strict_advice, tensor_json
from gateway.api.advice import Advisor, Catalog
from gateway.api.message import Response
from gateway.api.request_body import Known, RequestBody
from gateway.codec.elements import Array
from gateway.errors import InvalidArgument, NotFound, Unimplemented
from gateway.inference.example_rows import ExampleRows
from gateway.inference.hints import listed, refuse_composite
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.status import ModelStatus


def blueprint(
    predictor: Predictor,
    example_rows: ExampleRows,
    catalog: Catalog,
    configured: Callable[[], tuple[ModelStatus, ...]],
    default_model: str,
) -> Blueprint:
    """The routes. A bare /predict means ``default_model``, or when that is empty the only one that is ``configured``."""
    routes = Blueprint("simple", __name__)
    known = Known(request_body.SIMPLE)
    advisor = Advisor(catalog)

    def answer(model: str) -> Response:
        try:
            return _predict(predictor, example_rows, known, advisor, model)
        except Unimplemented as error:
            raise strict_advice.simple_without_form(advisor, error, ModelRef(model)) from None
        except InvalidArgument as error:
            trace = requests.current().trace
            if trace.version is None or trace.is_known:
                raise
            raise strict_advice.simple_unknown(advisor, error, ModelRef(model)) from None

    @routes.route("/predict", methods=["POST"], provide_automatic_options=False)
    def predict_default() -> Response:
        return answer(default_model or _only(configured()))

    @routes.route("/predict/<model>", methods=["POST"], provide_automatic_options=False)
    def predict(model: str) -> Response:
        return answer(model)

    return routes


def _only(models: tuple[ModelStatus, ...]) -> str:
    if len(models) == 1:
        return models[0].name
    served = f"; served are: {listed(model.name for model in models)}" if models else ""
    raise NotFound(f"say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL{served}")


def _predict(
    predictor: Predictor, example_rows: ExampleRows, known: Known[dict[str, Array]], advisor: Advisor, name: str
) -> Response:
    started_s = time.perf_counter()
    model = ModelRef(name)
    trace = requests.begin_trace(model)
    load = array_body.received(is_example=True) or _reader(known, advisor, model)
    requests.parse_timed(started_s)
    built: list[tuple[Signature, Tensors]] = []

    def build(signature: Signature) -> Tensors:
        refuse_composite(signature)
        inputs = load(signature)
        built.append((signature, inputs))
        return inputs

    prediction = predictor.predict(trace, build, requests.deadline())
    # The example was given a batch dimension of 1 where the signature has one, which is taken off again.
    rows = example_rows.of(prediction, *built[-1], requests.deadline())
    outputs = {name: array.reshape(array.shape[1:]) if name in rows else array for name, array in prediction.outputs.items()}
    return array_body.answer(outputs) or Response.whole(_render(prediction, outputs))


def _reader(known: Known[dict[str, Array]], advisor: Advisor, model: ModelRef) -> Callable[[Signature], Tensors]:
    """What makes tensors of this request's JSON body."""
    data = body.read_strictly()
    try:
        sent = RequestBody(known, model, data)
    except InvalidArgument as error:
        raise strict_advice.simple_unread(advisor, error, model, data) from None

    def load(signature: Signature) -> Tensors:
        try:
            return sent.load(signature)
        except InvalidArgument as error:
            raise strict_advice.simple_unfit(advisor, error, model, sent) from None

    return load


def _render(prediction: Prediction, outputs: Tensors) -> bytes:
    answer = {
        "ok": True,
        "status": "success",
        "prediction": orjson.Fragment(tensor_json.dump_simple(outputs)),
        "model": prediction.model,
        "model_version": str(prediction.version),
    }
    return orjson.dumps(answer)
