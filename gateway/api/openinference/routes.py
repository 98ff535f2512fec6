"""/v2/...: the Open Inference Protocol over HTTP, with Triton's binary tensor data and model repository extensions.

Strict: what does not fit the signature is refused before any call. A version in a path is a number, or a label. The request
parameter ``signature_name`` (of a query, for metadata) chooses another signature than serving_default. Models come and go by
the model server's own configuration, so that the repository can be read here and not changed.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson
from flask import Blueprint, request

from gateway.api import body, body_bounds, requests, strict_advice
from gateway.api.advice import Advisor
from gateway.api.message import Response
from gateway.api.openinference import datatypes, form
from gateway.api.openinference.answer import render
from gateway.api.openinference.request import HEADER_LENGTH, InferRequest, json_length
from gateway.codec import json_text
from gateway.codec.problems import Problems
from gateway.deadline import Deadline
from gateway.errors import InvalidArgument, NotFound, Unimplemented
from gateway.inference.hints import refuse_composite
from gateway.inference.predictor import Predictor, signature_of
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, ServedModel, TensorSpec
from gateway.inference.status import ModelStatus, VersionStatus

SERVER_NAME: Final = "serving-gateway"
SERVER_VERSION: Final = "0.1.0"
EXTENSIONS: Final = ("binary_tensor_data", "model_repository")

_INT64_MAX: Final = 2**63 - 1
_PLATFORM: Final = "tensorflow_savedmodel"
_STATES: Final = {"AVAILABLE": "READY", "START": "LOADING", "LOADING": "LOADING", "UNLOADING": "UNLOADING"}


class Catalog(Protocol):
    """What the routes about models ask. Every call may raise GatewayError."""

    def models(self) -> tuple[ModelStatus, ...]:
        """Every model that is known."""

    def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of a model."""

    def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means, with its signatures."""


def blueprint(predictor: Predictor, catalog: Catalog, why_not_ready: Callable[[], list[str]]) -> Blueprint:
    """The routes under /v2. ``why_not_ready`` gives the reasons for which the gateway is not ready; none: it is."""
    routes = Blueprint("openinference", __name__, url_prefix="/v2")
    advisor = Advisor(catalog)

    def route(method: str, *paths: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        def add(view: Callable[..., Response]) -> Callable[..., Response]:
            for path in paths:
                routes.add_url_rule(path, view_func=view, methods=[method], provide_automatic_options=False)
            return view

        return add

    @route("GET", "")
    def server() -> Response:
        return _json({"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": EXTENSIONS})

    @route("GET", "/health/live")
    def live() -> Response:
        return _json({"live": True})

    @route("GET", "/health/ready")
    def ready() -> Response:
        return _readiness({}, why_not_ready())

    @route("GET", "/models/<name>", "/models/<name>/versions/<version>")
    def model(name: str, version: str | None = None) -> Response:
        return _metadata(catalog, _model_ref(name, version, catalog))

    @route("GET", "/models/<name>/ready", "/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str | None = None) -> Response:
        status = catalog.status(_model_ref(name, version, catalog), requests.deadline())
        return _readiness({"name": name}, [] if status.is_ready else list(status.problems))

    @route("POST", "/models/<name>/infer", "/models/<name>/versions/<version>/infer")
    def infer(name: str, version: str | None = None) -> Response:
        return _infer(predictor, advisor, _model_ref(name, version, catalog))

    @route("POST", "/repository/index")
    def repository_index() -> Response:
        entries = [entry for status in catalog.models() for entry in _index_entries(status)]
        return _json([entry for entry in entries if entry["state"] == "READY"] if _wants_only_ready() else entries)

    @route("POST", "/repository/models/<name>/<any(load,unload):action>")
    def change_repository(name: str, action: str) -> Response:
        how = "a model by its entry in models.config, a version by its folder"
        raise Unimplemented(f"{action} of {name}: the model server itself takes up and drops what it serves, {how}")

    return routes


def _infer(predictor: Predictor, advisor: Advisor, model: ModelRef) -> Response:
    started_s = time.perf_counter()
    trace = requests.begin_trace(model)
    header_length, sent = request.headers.get(HEADER_LENGTH), body.read_strictly(is_json=False)
    body_bounds.take_share(json_length(header_length, len(sent)))
    infer_request = _read(sent, header_length, advisor, model)
    trace.signature = infer_request.signature
    requests.parse_timed(started_s)
    wanted = tuple(dict.fromkeys(output.name for output in infer_request.outputs()))
    try:
        prediction = predictor.predict(trace, infer_request.tensors, requests.deadline(), wanted)
        answer = render(infer_request, prediction)
    except (InvalidArgument, Unimplemented) as error:
        if trace.version is None:
            raise
        served = ModelRef(model.name, trace.version)
        if not trace.is_known:
            raise strict_advice.infer_unknown(advisor, error, served) from None
        if isinstance(error, Unimplemented):
            raise strict_advice.infer_without_form(advisor, error, served, trace.signature) from None
        document = infer_request.document
        raise strict_advice.infer_unfit(advisor, error, served, trace.signature, document, data=sent) from None
    if answer.header_length is None:
        return Response.whole(answer.body)
    headers = {HEADER_LENGTH: str(answer.header_length)}
    return Response(answer.body, content_type="application/octet-stream", headers=headers)


def _read(sent: bytes, header_length: str | None, advisor: Advisor, model: ModelRef) -> InferRequest:
    try:
        return InferRequest(sent, header_length)
    except InvalidArgument as error:
        raise strict_advice.infer_unread(advisor, error, model, sent) from None


def _model_ref(name: str, version: str | None, catalog: Catalog) -> ModelRef:
    """The model that a path names. Raises NotFound for a version that cannot be, or a label that the model does not have."""
    if version is None:
        return ModelRef(name)
    if not (version.isascii() and version.isdigit()):
        return _labelled(ModelRef(name, label=version), catalog)
    significant = version.lstrip("0") or "0"
    if len(significant) > 19 or int(significant) > _INT64_MAX:
        raise NotFound(f"no version of {name} has a number beyond {_INT64_MAX}")
    return ModelRef(name, int(significant))


def _labelled(model: ModelRef, catalog: Catalog) -> ModelRef:
    try:
        catalog.served(model, requests.deadline())
    except InvalidArgument as error:
        raise NotFound(f"{model.name} has no version or label {model.label}: {error.message}") from error
    return model


def _metadata(catalog: Catalog, model: ModelRef) -> Response:
    served = catalog.served(model, requests.deadline())
    signature = signature_of(served, request.args.get(form.SIGNATURE_NAME) or DEFAULT_SIGNATURE)
    refuse_composite(signature)
    versions = catalog.status(ModelRef(model.name), requests.deadline()).available
    response = _json(
        {
            "name": served.name,
            "versions": [str(version) for version in sorted(versions)],
            "platform": _PLATFORM,
            "inputs": [_tensor(spec) for spec in signature.inputs],
            "outputs": [_tensor(spec) for spec in signature.outputs],
        }
    )
    response.headers["X-Model-Version"] = str(served.version)
    return response


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    # The protocol has no way to say that the rank is free.
    shape = (None,) if spec.shape is None else spec.shape
    sizes = [-1 if size is None else size for size in shape]
    return {"name": spec.name, "datatype": datatypes.name_of(spec.dtype), "shape": sizes}


def _index_entries(model: ModelStatus) -> list[dict[str, str]]:
    if not model.versions:
        return [{"name": model.name, "state": "UNAVAILABLE", "reason": "; ".join(model.problems)}]
    return [
        {
            "name": model.name,
            "version": str(version.version),
            "state": _STATES.get(version.state, "UNAVAILABLE"),
            "reason": _reason(version),
        }
        for version in model.versions
    ]


def _reason(version: VersionStatus) -> str:
    return f"{version.error_code}: {version.error_message}" if version.has_failed else ""


def _wants_only_ready() -> bool:
    problems = Problems()
    sent = body.read_strictly()
    document = json_text.parse(sent) if sent else {}
    members = form.read(form.REPOSITORY_INDEX, document, (), problems)
    if problems.count:
        raise problems.invalid_argument("this is no request for the index:")
    return bool(members.get("ready"))


def _readiness(names: dict[str, str], reasons: list[str]) -> Response:
    if not reasons:
        return _json(names | {"ready": True})
    return _json(names | {"ready": False, "error": "; ".join(reasons)}, 503)


def _json(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status=status, content_type="application/json")
