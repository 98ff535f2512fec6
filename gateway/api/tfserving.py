"""/v1/...: TensorFlow Serving's REST dialect. A client of its REST port changes the address and nothing else.

Never refuses what TensorFlow Serving would answer: names, dtypes and ragged lists are checked as it does, a shape that does
not fit the declaration is forwarded, and only when the model then refuses does the answer also say what the signature expected.
"""

import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, request

from gateway.api import json_dialect, requests, schemas, tensor_json, tfserving_path
from gateway.api.shapes import mismatches
from gateway.errors import InvalidArgument, Unimplemented
from gateway.inference.deadline import Deadline
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Signature, Tensors
from gateway.inference.status import ModelStatus

_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")


class Catalog(Protocol):
    """What the status and metadata routes ask. Every call raises GatewayError."""

    def models(self) -> tuple[ModelStatus, ...]:
        """Every model that is known."""

    def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of a model."""

    def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of the metadata route."""


def blueprint(predictor: Predictor, catalog: Catalog) -> Blueprint:
    """The routes under /v1/. One view takes them all: this dialect answers even a wrong method in its own way."""
    routes = Blueprint("tfserving", __name__)

    @routes.route("/<any(v1,V1):prefix>/<path:rest>", methods=_METHODS, provide_automatic_options=False)
    def dispatch(prefix: str, rest: str) -> Response:
        path = _raw_path()
        if request.method == "GET" and path.lower() == "/v1/models":
            return _json({"models": [_listed(model) for model in catalog.models()]})
        target = tfserving_path.parse(request.method, path)
        if target.action == "status":
            return _status(catalog.status(target.model, requests.deadline()))
        if target.action == "metadata":
            return _metadata(catalog.metadata(target.model, requests.deadline()))
        if target.action == "predict":
            return _predict(target.model, predictor)
        raise Unimplemented(f":{target.action} is not served over HTTP yet; the model server answers it over gRPC")

    return routes


def _raw_path() -> str:
    """The path as the client sent it: the URL pattern is matched before percent escapes are decoded."""
    target: str = request.environ.get("RAW_URI") or request.full_path
    return urlsplit(target).path


class _PredictDocument:
    """A :predict body between its parsing and its answer: how it was made into tensors is needed again for both."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._signature: Signature | None = None
        self._body: schemas.PredictBody | None = None

    def build(self, signature: Signature) -> Tensors:
        self._signature, self._body = signature, None
        self._body = schemas.load_predict(self._document, signature)
        return self._body.tensors

    @property
    def is_row(self) -> bool:
        return self._body is not None and self._body.row

    def explain(self, error: InvalidArgument) -> InvalidArgument:
        """The backend's refusal with what the signature expected, when the shapes that were forwarded did not fit it."""
        if self._signature is None or self._body is None:
            return error
        problems = mismatches(self._signature, self._body.tensors, self._body.row)
        message = "\n".join([error.message, *map(str, problems)])
        return InvalidArgument(message, problems)


def _predict(model: ModelRef, predictor: Predictor) -> Response:
    started_s = time.perf_counter()
    trace = requests.begin_trace(model)
    parsed = json_dialect.parse(request.get_data())
    trace.signature = schemas.signature_name(parsed)
    requests.parse_timed(started_s)
    document = _PredictDocument(parsed)
    try:
        prediction = predictor.predict(trace, document.build, requests.deadline())
    except InvalidArgument as error:
        raise document.explain(error) from error
    return _answer(tensor_json.dump_predict(prediction.outputs, document.is_row))


def _status(status: ModelStatus) -> Response:
    entries = [
        {
            "version": str(version.version),
            "state": version.state,
            "status": {"error_code": version.error_code, "error_message": version.error_message},
        }
        for version in status.versions
    ]
    return _json({"model_version_status": entries})


def _metadata(document: dict[str, Any]) -> Response:
    response = _json(document)
    response.headers["X-Model-Version"] = document["model_spec"]["version"]
    return response


def _listed(model: ModelStatus) -> dict[str, object]:
    return {
        "name": model.name,
        "ready": model.is_ready,
        "versions": [{"version": str(version.version), "state": version.state} for version in model.versions],
        "problems": list(model.problems),
    }


def _json(body: object) -> Response:
    return _answer(orjson.dumps(body))


def _answer(body: bytes) -> Response:
    return Response(body, content_type="application/json")
