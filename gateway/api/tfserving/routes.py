"""/v1/...: TensorFlow Serving's REST dialect. A client of its REST port changes the address and nothing else.

Never refuses what TensorFlow Serving would answer: names, dtypes and ragged lists are checked as it does, a shape that does
not fit the declaration is forwarded, and only when the model then refuses does the answer also say what the signature expected.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import orjson
from flask import Blueprint

from gateway.api import array_body, body, request_body, requests, schemas, tensor_json
from gateway.api.advice import Advisor
from gateway.api.message import Response
from gateway.api.request_body import Known, RequestBody
from gateway.api.schemas import PredictBody
from gateway.api.tensor_json import NonFinite
from gateway.api.tfserving import advice, cors
from gateway.api.tfserving import examples as example_bodies
from gateway.api.tfserving import path as tfserving_path
from gateway.api.tfserving.advice import ExampleVerb
from gateway.api.tfserving.answer import dump_classifications, dump_regressions
from gateway.api.tfserving.path import ModelPath
from gateway.api.tfserving.predict_document import PredictDocument
from gateway.codec import json_text
from gateway.deadline import Deadline
from gateway.errors import InvalidArgument, OutOfRange, Unimplemented
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.examples import Examples
from gateway.inference.predictor import Predictor, Trace
from gateway.inference.signature import ModelRef, ServedModel, Signature
from gateway.inference.status import ModelStatus

Answer = TypeVar("Answer")

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

    def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means, with its signatures."""


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
    advisor = Advisor(catalog)

    @routes.route("/<any(v1,V1):prefix>/<path:rest>", methods=cors.METHODS, provide_automatic_options=False)
    def dispatch(prefix: str, rest: str) -> Response:
        # The URL pattern is matched before percent escapes are decoded.
        method, path = requests.current().method, requests.raw_path()
        target = tfserving_path.parse(method, path)
        match target.verb:
            case "predict":
                return _predict(target.model, known, predictor, advisor, non_finite)
            case "classify":
                return _classify(target.model, examples, advisor, non_finite)
            case "regress":
                return _regress(target.model, examples, advisor, non_finite)
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


def _predict(
    model: ModelRef, known: Known[PredictBody], predictor: Predictor, advisor: Advisor, non_finite: NonFinite
) -> Response:
    started_s = time.perf_counter()
    arrays = array_body.received(is_example=False)
    trace = requests.begin_trace(model)
    if arrays is not None:
        sent = None
        document = PredictDocument(lambda signature: PredictBody(row=False, tensors=dict(arrays(signature))))
    else:
        sent = _read(model, known, advisor)
        trace.signature = sent.signature
        document = PredictDocument(sent.load)
        requests.parse_timed(started_s)
    try:
        prediction = predictor.predict(trace, document.build, requests.deadline())
    except (InvalidArgument, Unimplemented) as error:
        raise document.explained(advisor, error, trace, sent) from None
    in_arrays = array_body.answer(prediction.outputs)
    if in_arrays is not None:
        return in_arrays
    try:
        return _answer(tensor_json.dump_predict(prediction.outputs, document.is_row, non_finite))
    except (InvalidArgument, OutOfRange) as error:
        answered = ModelRef(model.name, prediction.version)
        raise advice.predict_unanswered(
            advisor, error, answered, trace.signature, prediction.outputs, is_row=document.is_row
        ) from None


def _read(model: ModelRef, known: Known[PredictBody], advisor: Advisor) -> RequestBody[PredictBody]:
    data = body.read()
    try:
        return RequestBody(known, model, data)
    except InvalidArgument as error:
        raise advice.predict_unread(advisor, error, model, data) from None


def _classify(model: ModelRef, predictor: ExamplePredictor, advisor: Advisor, non_finite: NonFinite) -> Response:
    answer = _examined(model, "classify", predictor.classify, advisor)
    return _answer(dump_classifications(answer, non_finite))


def _regress(model: ModelRef, predictor: ExamplePredictor, advisor: Advisor, non_finite: NonFinite) -> Response:
    answer = _examined(model, "regress", predictor.regress, advisor)
    return _answer(dump_regressions(answer, non_finite))


def _examined(
    model: ModelRef, verb: ExampleVerb, call: Callable[[Trace, Examples, Deadline], Answer], advisor: Advisor
) -> Answer:
    """What ``call`` answers to the examples of this request's body."""
    trace, examples = _begin(model, verb, advisor)
    try:
        return call(trace, examples, requests.deadline())
    except InvalidArgument as error:
        if trace.version is None:
            raise
        answering = ModelRef(model.name, trace.version)
        raise advice.examples_unfit(advisor, error, answering, verb) from None


def _begin(model: ModelRef, verb: ExampleVerb, advisor: Advisor) -> tuple[Trace, Examples]:
    """The trace of a request for ``model``, and the examples of its body, an object that names a signature or none."""
    started_s = time.perf_counter()
    trace = requests.begin_trace(model)
    data, document = body.read(), None
    try:
        document = json_text.parse(data, raw_strings=True)
        trace.signature = schemas.signature_name(document)
        examples = example_bodies.load(document)
    except InvalidArgument as error:
        raise advice.examples_misread(advisor, error, model, verb, data, document=document) from None
    requests.parse_timed(started_s)
    return trace, examples


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
