"""The /predict part of the OpenAPI document: one example in, one prediction out."""

from collections.abc import Iterator
from typing import Final

from gateway.api.docs import json_schema, path_items
from gateway.api.docs.json_schema import TEXT, Json, record
from gateway.api.samples import bodies
from gateway.api.samples.model import DocumentedModel, has_strict_form
from gateway.api.simple.body import DATA_KEY
from gateway.api.tensor_field import example_dims
from gateway.inference.signature import Signature

TAG: Final = "One example, any model"
ABOUT: Final = (
    "One example in, one prediction out, with the signature serving_default. Strict: one JSON document, names, dtypes, every "
    "declared dimension, and numbers that the dtype cannot hold. A free dimension 0 is the batch, and an example is given "
    "without it."
)


def of_model(model: DocumentedModel) -> Iterator[tuple[str, Json]]:
    """The path of one model, if it has a default signature."""
    signature = _called(model)
    if signature is not None and model.is_one_segment:
        operation = _of_signature(signature)
        yield from path_items.under(
            f"/predict/{model.in_path}", [("", "predictOne", "post", operation)], model.identifier, model.name
        )


def of_any_model(example: str, default: DocumentedModel | None) -> Iterator[tuple[str, Json]]:
    """The path that takes the model as a parameter, and the path of the model ``default``, which names none."""
    signature = None if default is None else _called(default)
    summary = "Predict one example with the default model" + ("" if default is None else f", {default.name}")
    bare = _post({"type": "object"}, {}, {}) if signature is None else _of_signature(signature)
    yield "/predict", {"post": bare | {"summary": summary, "operationId": "predictOne", "tags": [TAG]}}
    any_model = [("", "predictOne", "post", _post({"type": "object"}, {}, {}))]
    yield from path_items.under("/predict/{model}", any_model, "any", TAG, path_items.path_parameter("model", example))


def _called(model: DocumentedModel) -> Signature | None:
    signature = model.default
    return signature if signature in model.callable_with(has_strict_form) else None


def _of_signature(signature: Signature) -> Json:
    members = {spec.name: json_schema.of_tensor(spec, example_dims(spec)) for spec in signature.inputs}
    body = record(members, [spec.name for spec in signature.inputs if spec.has_default])
    if len(members) == 1 and DATA_KEY not in members:
        body = {"anyOf": [body, record({DATA_KEY: next(iter(members.values()))})]}
    outputs = {spec.name: json_schema.of_answered_tensor(spec, example_dims(spec)) for spec in signature.outputs}
    prediction = next(iter(outputs.values())) if len(outputs) == 1 else record(outputs)
    sample = bodies.simple(signature)
    examples = {} if sample is None else {signature.name: path_items.example(signature, signature.name, sample)}
    return _post(body, prediction, examples)


def _post(body: Json, prediction: Json, examples: Json) -> Json:
    members: dict[str, Json] = {
        "ok": {"const": True},
        "status": {"const": "success"},
        "prediction": prediction,
        "model": TEXT,
        "model_version": TEXT,
    }
    return path_items.post("simple", "Predict one example", body, "The prediction", record(members), examples=examples)
