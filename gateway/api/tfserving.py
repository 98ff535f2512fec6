"""/v1/...: TensorFlow Serving's REST dialect. A client of its REST port changes the address and nothing else.

Never refuses what TensorFlow Serving would answer: names, dtypes and ragged lists are checked as it does, a shape that does
not fit the declaration is forwarded, and only when the model then refuses does the answer also say what the signature expected.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Blueprint

from gateway.api import (
    array_body,
    body,
    cors,
    examples_json,
    json_dialect,
    request_body,
    requests,
    schemas,
    tensor_json,
    tfserving_path,
)
from gateway.api import examples as example_bodies
from gateway.api.message import Response
from gateway.api.request_body import Known, RequestBody
from gateway.api.schemas import PredictBody
from gateway.api.shapes import mismatches
from gateway.api.tensor_json import NonFinite
from gateway.api.tfserving_path import ModelPath
from gateway.errors import InvalidArgument
from gateway.inference.deadline import Deadline
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.predictor import Predictor, Trace
from gateway.inference.signature import ModelRef, ServedModel, Signature, Tensors
from gateway.inference.status import ModelStatus

Document = TypeVar("Document")

WhyNotJoined: TypeAlias = Callable[[ServedModel, Signature], str | None]
"""Says why requests for a signature of a version are never joined into batches; None when they are or may be."""


class Catalog(Protocol):
    """What the status and metadata routes ask. Every call raises GatewayError."""

    def models(self) -> tuple[ModelStatus, ...]:
        """Every model that is known."""

    def known(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known."""

    def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of a model."""

    def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of the metadata route."""


def blueprint(
    predictor: Predictor,
    examples: ExamplePredictor,
    catalog: Catalog,
    why_not_joined: WhyNotJoined,
    non_finite: NonFinite,
) -> Blueprint:
    """The routes under /v1/. One view takes them all: this dialect answers even a wrong method in its own way."""
    routes = Blueprint("tfserving", __name__)
    known = Known(request_body.PREDICT)

    @routes.route("/<any(v1,V1):prefix>/<path:rest>", methods=cors.METHODS, provide_automatic_options=False)
    def dispatch(prefix: str, rest: str) -> Response:
        method, path = requests.current().method, _raw_path()
        target = tfserving_path.parse(method, path)
        match target.verb:
            case "predict":
                return _predict(target.model, known, predictor, non_finite)
            case "classify":
                return _classify(target.model, examples, non_finite)
            case "regress":
                return _regress(target.model, examples, non_finite)
            case "":
                return _look_up(target, catalog, why_not_joined)
        # Upstream's pattern takes :PREDICT, its handler does not.
        raise tfserving_path.malformed(method, path)

    return routes


def _look_up(target: ModelPath, catalog: Catalog, why_not_joined: WhyNotJoined) -> Response:
    if not target.model.name:
        return _json({"models": [_listed(model, catalog, why_not_joined) for model in catalog.models()]})
    if target.subresource == "metadata":
        return _metadata(catalog.metadata(target.model, requests.deadline()))
    # Upstream's pattern takes /METADATA, its handler takes that for no subresource.
    return _status(catalog.status(target.model, requests.deadline()))


def _raw_path() -> str:
    """The path as the client sent it: the URL pattern is matched before percent escapes are decoded."""
    ours = requests.current()
    target: str = ours.environ.get("RAW_URI") or ours.full_path
    # Two slashes at the front are part of the path, and no host.
    return target.partition("?")[0].partition("#")[0] if target.startswith("/") else urlsplit(target).path


class _PredictDocument:
    """A :predict body between its parsing and its answer: how it was made into tensors is needed again for both."""

    def __init__(self, load: Callable[[Signature], PredictBody]) -> None:
        self._load = load
        self._signature: Signature | None = None
        self._body: PredictBody | None = None

    def build(self, signature: Signature) -> Tensors:
        self._signature, self._body = signature, None
        self._body = self._load(signature)
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


def _predict(model: ModelRef, known: Known[PredictBody], predictor: Predictor, non_finite: NonFinite) -> Response:
    started_s = time.perf_counter()
    arrays = array_body.received(is_example=False)
    trace = requests.begin_trace(model)
    if arrays is None:
        sent = RequestBody(known, model, body.read())
        trace.signature = sent.signature
        document = _PredictDocument(sent.load)
        requests.parse_timed(started_s)
    else:
        document = _PredictDocument(lambda signature: PredictBody(row=False, tensors=dict(arrays(signature))))
    try:
        prediction = predictor.predict(trace, document.build, requests.deadline())
    except InvalidArgument as error:
        raise document.explain(error) from None
    in_arrays = array_body.answer(prediction.outputs)
    return in_arrays or _answer(tensor_json.dump_predict(prediction.outputs, document.is_row, non_finite))


def _classify(model: ModelRef, predictor: ExamplePredictor, non_finite: NonFinite) -> Response:
    trace, examples = _begin(model, example_bodies.load)
    answer = predictor.classify(trace, examples, requests.deadline())
    return _answer(examples_json.dump_classifications(answer, non_finite))


def _regress(model: ModelRef, predictor: ExamplePredictor, non_finite: NonFinite) -> Response:
    trace, examples = _begin(model, example_bodies.load)
    answer = predictor.regress(trace, examples, requests.deadline())
    return _answer(examples_json.dump_regressions(answer, non_finite))


def _begin(model: ModelRef, load: Callable[[dict[str, Any]], Document]) -> tuple[Trace, Document]:
    """The trace of a request for ``model``, and what ``load`` makes of its body, an object that names a signature or none."""
    started_s = time.perf_counter()
    trace = requests.begin_trace(model)
    document = json_dialect.parse(body.read(), raw_strings=True)
    trace.signature = schemas.signature_name(document)
    loaded = load(document)
    requests.parse_timed(started_s)
    return trace, loaded


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


def _listed(model: ModelStatus, catalog: Catalog, why_not_joined: WhyNotJoined) -> dict[str, object]:
    reasons = [
        f"version {served.version}, signature {signature.name}: {why}"
        for served in catalog.known(model.name)
        for signature in served.called_signatures
        if (why := why_not_joined(served, signature)) is not None
    ]
    return {
        "name": model.name,
        "ready": model.is_ready,
        "versions": [{"version": str(version.version), "state": version.state} for version in model.versions],
        "problems": list(model.problems),
        "not_joined": reasons,
    }


def _json(content: object) -> Response:
    return _answer(orjson.dumps(content))


def _answer(content: bytes) -> Response:
    return Response.whole(content)
