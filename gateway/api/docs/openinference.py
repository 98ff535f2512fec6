"""The /v2 part of the OpenAPI document: the Open Inference Protocol, for each model and for any."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.api.docs import infer_schemas, path_items
from gateway.api.docs.infer_schemas import FLAG, SIZE
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.path_items import Operation
from gateway.api.docs.responses import JSON, answer, not_ready, refusals
from gateway.api.openinference.form import HEADER_LENGTH, SIGNATURE_NAME
from gateway.api.samples import bodies
from gateway.api.samples.model import DocumentedModel
from gateway.codec import datatypes
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

TAG: Final = "Open Inference Protocol, any model"
ABOUT: Final = (
    "The Open Inference Protocol, as Triton, KServe and MLServer speak it, with binary tensor data and the index of models. "
    "Strict: a request that does not fit the signature, or has a member that the protocol does not have, is refused before any "
    "call, with every problem. Only `parameters` are free. The shape of a tensor and its data must agree. A version in a path "
    "is a number or a label."
)
BINARY: Final = "application/octet-stream"

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
    yield from path_items.under(f"/v2/models/{model.in_path}", _operations(model), model.identifier, model.name)


def of_any_model(model: str, version: int) -> Iterator[tuple[str, Json]]:
    """The paths that name no model, or take it as a parameter; ``model`` and ``version`` are examples."""
    yield "/v2", {"get": _get("server", "The server", _SERVER)}
    yield "/v2/health/live", {"get": _get("serverLive", "Whether the process lives", record({"live": {"const": True}}))}
    yield "/v2/health/ready", {"get": _ready({}) | {"operationId": "serverReady", "tags": [TAG]}}
    yield "/v2/repository/index", {"post": _index()}
    name = path_items.path_parameter("model", model)
    for action in ("load", "unload"):
        yield f"/v2/repository/models/{{model}}/{action}", {"parameters": [name], "post": _not_served(action)}
    number = path_items.path_parameter("version", str(version))
    yield from path_items.under("/v2/models/{model}", _any(), "any", TAG, name)
    yield from path_items.under("/v2/models/{model}/versions/{version}", _any(), "any_version", TAG, name, number)


def _operations(model: DocumentedModel) -> Iterator[Operation]:
    signatures = model.callable_with(datatypes.is_supported)
    if signatures:
        yield "/infer", "infer", "post", _infer(signatures)
    names = [signature.name for signature in model.signatures]
    if names:
        known = {"enum": names if model.default is None else ["", *names]}
        yield "", "tensors", "get", _metadata({"schema": known, "required": model.default is None})
    yield "/ready", "ready", "get", _ready({"name": TEXT})


def _any() -> Iterator[Operation]:
    yield "/infer", "infer", "post", _post(infer_schemas.request(None), infer_schemas.answer(None), {})
    yield "", "tensors", "get", _metadata({})
    yield "/ready", "ready", "get", _ready({"name": TEXT})


def _infer(signatures: Sequence[Signature]) -> Json:
    requests = [infer_schemas.request(signature) for signature in signatures]
    answers = [infer_schemas.answer(signature) for signature in signatures]
    examples = {
        signature.name: path_items.example(signature, signature.name, sample)
        for signature in signatures
        if (sample := bodies.infer(signature)) is not None
    }
    return _post({"oneOf": requests}, {"anyOf": answers}, examples)


def _post(body: Json, answered: Json, examples: Json) -> Json:
    about = "The outputs: JSON, and behind it the data that was asked for as binary"
    made = path_items.post("openinference", "Infer", body, about, answered, examples=examples, media_types=(JSON, BINARY))
    length = {"description": "How many bytes of the body are JSON, where it is not all", "schema": SIZE}
    made["responses"]["200"]["headers"][HEADER_LENGTH] = length
    # A body without JSON is the raw data of the only input, and may be that of no rows.
    made["requestBody"]["required"] = False
    return made | {"parameters": [_LENGTH_HEADER]}


def _metadata(query: Json) -> Json:
    responses = {"200": answer("The model's tensors", _METADATA, has_version=True)}
    responses |= refusals("openinference", asks_backend=True)
    return {"summary": "Metadata", "parameters": [_SIGNATURE_QUERY | query], "responses": responses}


def _ready(members: Json) -> Json:
    why = record(members | {"ready": {"const": False}, "error": TEXT})
    responses = refusals("openinference", asks_backend=bool(members)) | {
        "200": answer("Ready", record(members | {"ready": {"const": True}})),
        "503": not_ready({"anyOf": [why, {"$ref": "#/components/schemas/openinference.error"}]} if members else why),
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
    return path_items.get(identifier, TAG, summary, responses)
