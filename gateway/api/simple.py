"""POST /predict[/<model>]: one example in, one prediction out. What does not fit the signature is refused before any call."""

import time
from collections.abc import Callable

import orjson
from flask import Blueprint

from gateway.api import array_body, body, request_body, requests, tensor_json
from gateway.api.element import Array
from gateway.api.message import Response
from gateway.api.request_body import Known, RequestBody
from gateway.errors import NotFound
from gateway.inference.example_rows import ExampleRows
from gateway.inference.hints import listed
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.status import ModelStatus


def blueprint(
    predictor: Predictor,
    example_rows: ExampleRows,
    configured: Callable[[], tuple[ModelStatus, ...]],
    default_model: str,
) -> Blueprint:
    """The routes. A bare /predict means ``default_model``, or when that is empty the only one that is ``configured``."""
    routes = Blueprint("simple", __name__)
    known = Known(request_body.SIMPLE)

    @routes.route("/predict", methods=["POST"], provide_automatic_options=False)
    def predict_default() -> Response:
        return _predict(predictor, example_rows, known, default_model or _only(configured()))

    @routes.route("/predict/<model>", methods=["POST"], provide_automatic_options=False)
    def predict(model: str) -> Response:
        return _predict(predictor, example_rows, known, model)

    return routes


def _only(models: tuple[ModelStatus, ...]) -> str:
    if len(models) == 1:
        return models[0].name
    served = f"; served are: {listed(model.name for model in models)}" if models else ""
    raise NotFound(f"say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL{served}")


def _predict(predictor: Predictor, example_rows: ExampleRows, known: Known[dict[str, Array]], name: str) -> Response:
    started_s = time.perf_counter()
    model = ModelRef(name)
    trace = requests.begin_trace(model)
    load = array_body.received(is_example=True) or RequestBody(known, model, body.read_strictly()).load
    requests.parse_timed(started_s)
    built: list[tuple[Signature, Tensors]] = []

    def build(signature: Signature) -> Tensors:
        inputs = load(signature)
        built.append((signature, inputs))
        return inputs

    prediction = predictor.predict(trace, build, requests.deadline())
    # The example was given a batch dimension of 1 where the signature has one, which is taken off again.
    rows = example_rows.of(prediction, *built[-1], requests.deadline())
    outputs = {name: array.reshape(array.shape[1:]) if name in rows else array for name, array in prediction.outputs.items()}
    return array_body.answer(outputs) or Response.whole(_render(prediction, outputs))


def _render(prediction: Prediction, outputs: Tensors) -> bytes:
    answer = {
        "ok": True,
        "status": "success",
        "prediction": orjson.Fragment(tensor_json.dump_simple(outputs)),
        "model": prediction.model,
        "model_version": str(prediction.version),
    }
    return orjson.dumps(answer)
