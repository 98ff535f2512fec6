"""POST /predict[/<model>]: one example in, one prediction out. What does not fit the signature is refused before any call."""

import time
from collections.abc import Callable

import orjson
from flask import Blueprint, Response, request

from gateway.api import json_dialect, requests, schemas, tensor_json
from gateway.errors import NotFound
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.status import ModelStatus


def blueprint(predictor: Predictor, known: Callable[[], tuple[ModelStatus, ...]], default_model: str) -> Blueprint:
    """The routes. A bare /predict means ``default_model``, or when that is empty the only one that is ``known``."""
    routes = Blueprint("simple", __name__)

    @routes.route("/predict", methods=["POST"], provide_automatic_options=False)
    def predict_default() -> Response:
        return _predict(predictor, default_model or _only(known()))

    @routes.route("/predict/<model>", methods=["POST"], provide_automatic_options=False)
    def predict(model: str) -> Response:
        return _predict(predictor, model)

    return routes


def _only(models: tuple[ModelStatus, ...]) -> str:
    if len(models) == 1:
        return models[0].name
    names = ", ".join(model.name for model in models) or "none so far"
    raise NotFound(f"say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL; served are: {names}")


def _predict(predictor: Predictor, model: str) -> Response:
    started_s = time.perf_counter()
    trace = requests.begin_trace(ModelRef(model))
    document = json_dialect.parse(request.get_data())
    requests.parse_timed(started_s)
    used: list[Signature] = []

    def build(signature: Signature) -> Tensors:
        used.append(signature)
        return schemas.load_simple(document, signature)

    prediction = predictor.predict(trace, build, requests.deadline())
    return Response(_render(prediction, used[-1]), content_type="application/json")


def _render(prediction: Prediction, signature: Signature) -> bytes:
    """The answer; the example was given a batch dimension of 1 where the signature has one, which is taken off again."""
    batched = any(spec.has_free_batch for spec in signature.inputs)
    body = {
        "ok": True,
        "status": "success",
        "prediction": orjson.Fragment(tensor_json.dump_simple(prediction.outputs, batched)),
        "model": prediction.model,
        "model_version": str(prediction.version),
    }
    return orjson.dumps(body)
