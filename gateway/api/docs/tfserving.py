"""The /v1 part of the OpenAPI document: TensorFlow Serving's dialect, for each model and for any."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.api import array_body
from gateway.api.docs import example_bodies, predict_bodies, samples, tfserving_models
from gateway.api.docs.json_schema import Json
from gateway.api.docs.model import METHODS, DocumentedModel, has_compatible_form
from gateway.api.docs.responses import JSON, answer, headers, refusals
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

_INT64_MAX: Final = 2**63 - 1
_MEDIA_TYPES: Final = (JSON, array_body.NPY, array_body.NPZ)


def of_model(model: DocumentedModel) -> Iterator[tuple[str, Json]]:
    """The paths of one model, and what each takes and gives."""
    base = f"/v1/models/{model.in_path}"
    for rest, name, method, operation in _operations(model):
        yield base + rest, {method: operation | {"operationId": f"{name}_{model.identifier}", "tags": [model.name]}}


def of_any_model(model: str, version: int) -> Iterator[tuple[str, Json]]:
    """The paths that take the model and its version or label as parameters; ``model`` and ``version`` are examples."""
    yield "/v1/models", {"get": tfserving_models.listing() | {"operationId": "models", "tags": [TAG]}}
    for which, identifier in WHICH.items():
        for rest, name, method, operation in _any_operations():
            described = operation | {"operationId": f"{name}_{identifier}", "tags": [TAG]}
            parameters = _parameters(which, model, version)
            yield f"/v1/models/{{model}}{which}{rest}", {"parameters": parameters, method: described}


def _operations(model: DocumentedModel) -> Iterator[tuple[str, str, str, Json]]:
    """The end of the path, the name, the method and the operation."""
    signatures = model.callable_with(has_compatible_form)
    if signatures:
        yield ":predict", "predict", "post", _predict(signatures)
    for verb in METHODS:
        suited = model.of_method(verb)
        if suited:
            yield f":{verb}", verb, "post", _examples(verb, model, suited)
    yield from _look_ups()


def _any_operations() -> Iterator[tuple[str, str, str, Json]]:
    any_request, any_answer = predict_bodies.ANY_REQUEST, predict_bodies.ANY_ANSWER
    yield ":predict", "predict", "post", _predict_post(any_request, any_answer, {})
    for verb in METHODS:
        body, answered = example_bodies.request(()), example_bodies.answer(verb)
        yield f":{verb}", verb, "post", _post(verb.capitalize(), body, (JSON,), answered, {})
    yield from _look_ups()


def _look_ups() -> Iterator[tuple[str, str, str, Json]]:
    yield "", "status", "get", tfserving_models.status()
    yield "/metadata", "metadata", "get", tfserving_models.metadata()


def _predict(signatures: Sequence[Signature]) -> Json:
    examples = {}
    for signature in signatures:
        for key, value in predict_bodies.samples(signature).items():
            note = {"description": predict_bodies.GUESS} if samples.is_guess(signature) else {}
            examples[f"{signature.name}.{key}"] = {"summary": f"{signature.name}: {key}", "value": value} | note
    bodies = [body for signature in signatures for body in predict_bodies.requests(signature)]
    answers = [body for signature in signatures for body in predict_bodies.answers(signature)]
    return _predict_post({"oneOf": bodies}, {"anyOf": answers} if answers else {}, examples)


def _predict_post(body: Json, answered: Json, examples: Json) -> Json:
    made = _post("Predict", body, _MEDIA_TYPES, answered, examples)
    made["responses"]["200"]["headers"] |= headers("X-Cache")
    return made


def _examples(verb: str, model: DocumentedModel, signatures: Sequence[Signature]) -> Json:
    examples = {
        signature.name: {
            "summary": signature.name,
            "description": example_bodies.GUESS,
            "value": example_bodies.sample(model, signature),
        }
        for signature in signatures
    }
    body, answered = example_bodies.request(signatures), example_bodies.answer(verb)
    return _post(verb.capitalize(), body, (JSON,), answered, examples)


def _post(summary: str, body: Json, media_types: Sequence[str], answered: Json, examples: Json) -> Json:
    json_body = {"schema": body} | ({"examples": examples} if examples else {})
    content: Json = {media_type: json_body if media_type == JSON else {"schema": {}} for media_type in media_types}
    responses = {"200": answer("The model's answer", answered, media_types, has_version=True)}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": responses | refusals("tfserving", asks_backend=True, has_body=True),
    }


def _parameters(which: str, model: str, version: int) -> list[Json]:
    name = {"type": "string", "pattern": "^[^/:]+$"}
    made = [{"name": "model", "in": "path", "required": True, "schema": name, "example": model}]
    if "{version}" in which:
        number = {"type": "integer", "minimum": 0, "maximum": _INT64_MAX}
        made.append({"name": "version", "in": "path", "required": True, "schema": number, "example": version})
    if "{label}" in which:
        made.append({"name": "label", "in": "path", "required": True, "schema": name, "example": "stable"})
    return made
