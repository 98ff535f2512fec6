"""The /v1 part of the OpenAPI document: TensorFlow Serving's dialect, for each model and for any."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.api.docs import example_schemas, path_items, predict_schemas
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.path_items import Operation
from gateway.api.docs.responses import JSON, answer, refusals
from gateway.api.samples import bodies
from gateway.api.samples.model import METHODS, DocumentedModel, has_compatible_form
from gateway.inference.signature import Signature

TAG: Final = "TensorFlow Serving, any model"
ABOUT: Final = (
    "TensorFlow Serving's REST dialect. Names, dtypes and ragged lists are checked; a shape that does not fit the declaration "
    "is forwarded, as TensorFlow Serving does. Members that are not listed are ignored, and so are Content-Type (but for npy "
    "and npz) and query strings. A body may be gzip (`Content-Encoding`). What is no route here, methods included, is a 400; "
    "OPTIONS is answered as a preflight of CORS."
)
WHICH: Final = {"": "any", "/versions/{version}": "any_version", "/labels/{label}": "any_label"}
"""How a path says which version of a model it means, and the identifiers for that."""

_NAME: Final = {"type": "string", "pattern": "^[^/:]+$"}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_STATES: Final = {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]}
_VERSION: Final = record({"version": TEXT, "state": _STATES, "status": record({"error_code": TEXT, "error_message": TEXT})})
_STATUSES: Final = record({"model_version_status": array(_VERSION)})
_SIGNATURES: Final = {"type": "object", "additionalProperties": {"type": "object"}}
_METADATA: Final = record(
    {
        "model_spec": record({"name": TEXT, "signature_name": TEXT, "version": TEXT}),
        "metadata": record({"signature_def": record({"signature_def": _SIGNATURES})}),
    }
)
_LISTED: Final = record(
    {
        "name": TEXT,
        "ready": {"type": "boolean"},
        "versions": array(record({"version": TEXT, "state": _STATES})),
        "problems": array(TEXT),
        "not_joined": array(TEXT),
    }
)


def of_model(model: DocumentedModel) -> Iterator[tuple[str, Json]]:
    """The paths of one model, and what each takes and gives."""
    return path_items.under(f"/v1/models/{model.in_path}", _operations(model), model.identifier, model.name)


def of_any_model(model: str, version: int) -> Iterator[tuple[str, Json]]:
    """The paths that take the model and its version or label as parameters; ``model`` and ``version`` are examples."""
    listed = {"200": answer("What is served, and what is wrong", record({"models": array(_LISTED)}))}
    listed |= refusals("tfserving", asks_backend=False)
    yield "/v1/models", {"get": path_items.get("models", TAG, "Every model", listed)}
    parameters = {
        "": [],
        "/versions/{version}": [path_items.path_parameter("version", version, _NUMBER)],
        "/labels/{label}": [path_items.path_parameter("label", "stable", _NAME)],
    }
    name = path_items.path_parameter("model", model, _NAME)
    for which, identifier in WHICH.items():
        yield from path_items.under(f"/v1/models/{{model}}{which}", _any(), identifier, TAG, name, *parameters[which])


def _operations(model: DocumentedModel) -> Iterator[Operation]:
    signatures = model.callable_with(has_compatible_form)
    if signatures:
        yield ":predict", "predict", "post", _predict(signatures)
    for verb in METHODS:
        suited = model.of_method(verb)
        if suited:
            yield f":{verb}", verb, "post", _examples(verb, suited, example_schemas.examples(model, suited))
    yield from _look_ups()


def _any() -> Iterator[Operation]:
    yield ":predict", "predict", "post", _predict_post(predict_schemas.ANY_REQUEST, predict_schemas.ANY_ANSWER, {})
    for verb in METHODS:
        yield f":{verb}", verb, "post", _examples(verb, (), {})
    yield from _look_ups()


def _look_ups() -> Iterator[Operation]:
    refused = refusals("tfserving", asks_backend=True)
    status = {"200": answer("The state of each version", _STATUSES)}
    yield "", "status", "get", {"summary": "Status", "responses": status | refused}
    metadata = {"200": answer("The signatures", _METADATA, has_version=True)}
    yield "/metadata", "metadata", "get", {"summary": "Metadata", "responses": metadata | refused}


def _predict(signatures: Sequence[Signature]) -> Json:
    examples = {
        f"{signature.name}.{key}": path_items.example(signature, f"{signature.name}: {key}", value)
        for signature in signatures
        for key, value in bodies.predict(signature).items()
    }
    requests = [body for signature in signatures for body in predict_schemas.requests(signature)]
    answers = [body for signature in signatures for body in predict_schemas.answers(signature)]
    return _predict_post({"oneOf": requests}, {"anyOf": answers} if answers else {}, examples)


def _predict_post(body: Json, answered: Json, examples: Json) -> Json:
    return path_items.post("tfserving", "Predict", body, "The model's answer", answered, examples=examples)


def _examples(verb: str, signatures: Sequence[Signature], examples: Json) -> Json:
    body, answered = example_schemas.request(signatures), example_schemas.answer(verb)
    return path_items.post(
        "tfserving",
        verb.capitalize(),
        body,
        "The model's answer",
        answered,
        examples=examples,
        media_types=(JSON,),
        is_kept=False,
    )
