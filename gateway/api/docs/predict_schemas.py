"""The schemas of the bodies of :predict and of /predict for one signature, and of the answers."""

from typing import Final

from gateway.api.docs.json_schema import (
    Dims,
    Json,
    answered_tensor_schema,
    array_schema,
    nested_schema,
    object_schema,
    only_or_object_schema,
    tensor_schema,
)
from gateway.api.samples.bodies import has_rows
from gateway.api.samples.model import has_compatible_form
from gateway.api.simple.body import DATA_KEY
from gateway.api.tensor_field import example_dims
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_NAME: Final = "signature_name"


def predict_request_schemas(signature: Signature) -> list[Json]:
    """A body of :predict in each format: by rows, if all inputs have a dimension 0, and by columns."""
    schemas = []
    if has_rows(signature.inputs):
        rows = {spec.name: tensor_schema(spec, _row_dims(spec)) for spec in signature.inputs}
        schemas.append(_request(signature, "instances", [_rows(signature, row) for row in _bare_or_named(rows)]))
    columns = {spec.name: tensor_schema(spec, spec.shape) for spec in signature.inputs}
    return [*schemas, _request(signature, "inputs", _bare_or_named(columns))]


def predict_answer_schemas(signature: Signature) -> list[Json]:
    """The answer to a body in each format; empty if an output has no form in the JSON of :predict."""
    if not all(has_compatible_form(spec.dtype) for spec in signature.outputs):
        return []
    schemas = []
    if has_rows(signature.outputs):
        schemas.append(_answer(signature, "predictions", _answered_rows(signature.outputs)))
    columns = {spec.name: answered_tensor_schema(spec, spec.shape) for spec in signature.outputs}
    return [*schemas, _answer(signature, "outputs", only_or_object_schema(columns))]


def simple_request_schema(signature: Signature) -> Json:
    """A body of /predict: the inputs of one example by name, of which one alone may be called ``data``."""
    members = {spec.name: tensor_schema(spec, example_dims(spec)) for spec in signature.inputs}
    body = object_schema(members, [spec.name for spec in signature.inputs if spec.has_default])
    if len(members) != 1 or DATA_KEY in members:
        return body
    return {"anyOf": [body, object_schema({DATA_KEY: next(iter(members.values()))})]}


def simple_prediction_schema(signature: Signature) -> Json:
    """The ``prediction`` in an answer of /predict."""
    return only_or_object_schema({spec.name: answered_tensor_schema(spec, example_dims(spec)) for spec in signature.outputs})


def _row_dims(spec: TensorSpec) -> Dims | None:
    return None if spec.shape is None else spec.shape[1:]


def _bare_or_named(members: dict[str, Json]) -> list[Json]:
    """The bare value of one input, and an object of all."""
    return [*(members.values() if len(members) == 1 else ()), object_schema(members)]


def _rows(signature: Signature, row: Json) -> Json:
    counts = {spec.shape[0] for spec in signature.inputs if spec.shape} - {None}
    return nested_schema([next(iter(counts), None)], row) | ({} if counts else {"minItems": 1})


def _answered_rows(specs: tuple[TensorSpec, ...]) -> Json:
    """The bare rows of one output, or objects of several."""
    if len(specs) == 1:
        dims = _row_dims(specs[0])
        return answered_tensor_schema(specs[0], None if dims is None else (None, *dims))
    return array_schema(object_schema({spec.name: answered_tensor_schema(spec, _row_dims(spec)) for spec in specs}))


def _request(signature: Signature, key: str, forms: list[Json]) -> Json:
    optional = (_NAME,) if signature.name == DEFAULT_SIGNATURE else ()
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return object_schema({_NAME: {"const": signature.name}, key: schema}, optional) | {"title": f"{signature.name}: {key}"}


def _answer(signature: Signature, key: str, schema: Json) -> Json:
    return object_schema({key: schema}) | {"title": f"{signature.name}: {key}"}
