"""The /v2 part of the OpenAPI document: the Open Inference Protocol, for each model and for any."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.api.docs import infer_bodies, predict_bodies, samples
from gateway.api.docs.infer_bodies import FLAG, SIZE
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.model import DocumentedModel
from gateway.api.docs.responses import JSON, answer, headers, refusals
from gateway.api.openinference import datatypes
from gateway.api.openinference.form import SIGNATURE_NAME
from gateway.api.openinference.request import HEADER_LENGTH
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

TAG: Final = "Open Inference Protocol, any model"
ABOUT: Final = (
    "The Open Inference Protocol, as Triton, KServe and MLServer speak it, with binary tensor data and the index of models. "
    "Strict: a request that does not fit the signature is refused before any call, with every problem. The shape of a tensor "
    "and its data must agree. A version in a path is a number or a label."
)
BINARY: Final = "application/octet-stream"

_NAME: Final = {"type": "string", "pattern": "^[^/]+$"}
_LENGTH_HEADER: Final = {
    "name": HEADER_LENGTH,
    "in": "header",
    "required": False,
    "description": "With binary tensor data: how many bytes of the body are JSON; 0: it is the raw data of the only input",
    "schema": SIZE,
}
_SIGNATURE_QUERY: Final = {
    "name": SIGNATURE_NAME,
    "in": "query",
    "required": False,
    "description": f"Without it: {DEFAULT_SIGNATURE}",
    "schema": TEXT,
}
_TENSOR: Final = record({"name": TEXT, "datatype": TEXT, "shape": array({"type": "integer", "minimum": -1})})
_METADATA: Final = record(
    {"name": TEXT, "versions": array(TEXT), "platform": TEXT, "inputs": array(_TENSOR), "outputs": array(_TENSOR)}
)
_SERVER: Final = record({"name": TEXT, "version": TEXT, "extensions": array(TEXT)})
_STATE: Final = {"enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]}
_INDEX: Final = array(record({"name": TEXT, "version": TEXT, "state": _STATE, "reason": TEXT}, ("version",)))


def of_model(model: DocumentedModel) -> Iterator[tuple[str, Json]]:
    """The paths of one model, and what each takes and gives."""
    if not model.is_one_segment:
        return
    base = f"/v2/models/{model.in_path}"
    for rest, name, method, operation in _operations(model):
        yield base + rest, {method: operation | {"operationId": f"{name}_{model.identifier}", "tags": [model.name]}}


def of_any_model(model: str, version: int) -> Iterator[tuple[str, Json]]:
    """The paths that name no model, or take it as a parameter; ``model`` and ``version`` are examples."""
    yield "/v2", {"get": _get("server", "The server", _SERVER)}
    yield "/v2/health/live", {"get": _get("serverLive", "Whether the process lives", record({"live": {"const": True}}))}
    yield "/v2/health/ready", {"get": _ready({}) | {"operationId": "serverReady", "tags": [TAG]}}
    yield "/v2/repository/index", {"post": _index()}
    for action in ("load", "unload"):
        path = f"/v2/repository/models/{{model}}/{action}"
        yield path, {"parameters": [_parameter("model", model)], "post": _not_served(action)}
    for which, identifier in (("", "any"), ("/versions/{version}", "any_version")):
        parameters = [_parameter("model", model)] + ([_parameter("version", str(version))] if which else [])
        for rest, name, method, operation in _any_operations():
            described = operation | {"operationId": f"{name}_{identifier}", "tags": [TAG]}
            yield f"/v2/models/{{model}}{which}{rest}", {"parameters": parameters, method: described}


def _operations(model: DocumentedModel) -> Iterator[tuple[str, str, str, Json]]:
    """The end of the path, the name, the method and the operation."""
    signatures = model.callable_with(datatypes.is_supported)
    if signatures:
        yield "/infer", "infer", "post", _infer(signatures)
    names = [signature.name for signature in model.signatures]
    if names:
        known = {"enum": names if model.default is None else ["", *names]}
        yield "", "tensors", "get", _metadata({"schema": known, "required": model.default is None})
    yield "/ready", "ready", "get", _ready({"name": TEXT})


def _any_operations() -> Iterator[tuple[str, str, str, Json]]:
    yield "/infer", "infer", "post", _post(infer_bodies.request(None), infer_bodies.answer(None), {})
    yield "", "tensors", "get", _metadata({})
    yield "/ready", "ready", "get", _ready({"name": TEXT})


def _infer(signatures: Sequence[Signature]) -> Json:
    bodies = [infer_bodies.request(signature) for signature in signatures]
    answers = [infer_bodies.answer(signature) for signature in signatures]
    examples = {signature.name: _sample(signature) for signature in signatures if infer_bodies.is_answered(signature)}
    return _post({"oneOf": bodies}, {"anyOf": answers}, examples)


def _sample(signature: Signature) -> Json:
    note = {"description": predict_bodies.GUESS} if samples.is_guess(signature) else {}
    return {"summary": signature.name, "value": infer_bodies.sample(signature)} | note


def _post(body: Json, answered: Json, examples: Json) -> Json:
    content = {JSON: {"schema": body} | ({"examples": examples} if examples else {}), BINARY: {"schema": {}}}
    ok = answer(
        "The outputs: JSON, and behind it the data that was asked for as binary", answered, (JSON, BINARY), has_version=True
    )
    ok["headers"] |= headers("X-Cache")
    ok["headers"][HEADER_LENGTH] = {"description": "How many bytes of the body are JSON, where it is not all", "schema": SIZE}
    # A body without JSON is the raw data of the only input, and may be that of no rows.
    return {
        "summary": "Infer",
        "parameters": [_LENGTH_HEADER],
        "requestBody": {"required": False, "content": content},
        "responses": {"200": ok} | refusals("openinference", asks_backend=True, has_body=True),
    }


def _metadata(query: Json) -> Json:
    responses = {"200": answer("The model's tensors", _METADATA, has_version=True)}
    responses |= refusals("openinference", asks_backend=True)
    return {"summary": "Metadata", "parameters": [_SIGNATURE_QUERY | query], "responses": responses}


def _ready(members: Json) -> Json:
    not_ready = record(members | {"ready": {"const": False}, "error": TEXT})
    asks_backend = bool(members)
    unavailable = {"anyOf": [not_ready, {"$ref": "#/components/schemas/openinference.error"}]} if members else not_ready
    responses = refusals("openinference", asks_backend=asks_backend) | {
        "200": answer("Ready", record(members | {"ready": {"const": True}})),
        "503": {
            "description": "Not ready, and why",
            "headers": headers("X-Request-Id"),
            "content": {JSON: {"schema": unavailable}},
        },
    }
    return {"summary": "Readiness", "responses": responses}


def _index() -> Json:
    body = {"schema": record({"ready": FLAG}, ("ready",)), "example": {"ready": True}}
    responses = {"200": answer("Every version of every model", _INDEX)}
    responses |= refusals("openinference", asks_backend=False, has_body=True, also=400)
    described = _get("repositoryIndex", "Index of the repository", {})
    return described | {"requestBody": {"required": False, "content": {JSON: body}}, "responses": responses}


def _not_served(action: str) -> Json:
    described = _get(f"repository{action.capitalize()}", f"Not served: the model server decides what to {action}", {})
    return described | {"responses": refusals("openinference", asks_backend=False, also=501)}


def _get(identifier: str, summary: str, schema: Json) -> Json:
    responses = {"200": answer(summary, schema)} | refusals("openinference", asks_backend=False)
    return {"operationId": identifier, "tags": [TAG], "summary": summary, "responses": responses}


def _parameter(name: str, example: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _NAME, "example": example}
