"""The schemas of the bodies of TensorFlow Serving's :predict for one signature, and of the answers."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.api.docs import json_schema
from gateway.api.docs.json_schema import TEXT, Dims, Json, array, record
from gateway.api.samples.bodies import has_rows
from gateway.api.samples.model import has_compatible_form
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_NAME: Final = "signature_name"
_ANY_NAME: Final = {_NAME: TEXT | {"description": f"Without it: {DEFAULT_SIGNATURE}"}}
_ANY_ROWS: Final = record(_ANY_NAME | {"instances": {"type": "array", "minItems": 1}}, (_NAME,)) | {"title": "instances"}
_ANY_COLUMNS: Final = record(_ANY_NAME | {"inputs": {}}, (_NAME,)) | {"title": "inputs"}
ANY_REQUEST: Final = {"oneOf": [_ANY_ROWS, _ANY_COLUMNS]}
ANY_ANSWER: Final = {"anyOf": [record({"predictions": {"type": "array"}}), record({"outputs": {}})]}


def requests(signature: Signature) -> Iterator[Json]:
    """A schema for each format: for rows, if all inputs have a dimension 0, and for columns."""
    if has_rows(signature.inputs):
        row = _row_schema(signature)
        yield _request(signature, "instances", row)
    tensors = _tensors(signature.inputs, json_schema.of_tensor)
    named = record(tensors)
    columns = {"anyOf": [next(iter(tensors.values())), named]} if len(tensors) == 1 else named
    yield _request(signature, "inputs", columns)


def answers(signature: Signature) -> Iterator[Json]:
    """A schema for the answer to each form of ``requests``; none if an output has no form."""
    if not all(has_compatible_form(spec.dtype) for spec in signature.outputs):
        return
    if has_rows(signature.outputs):
        yield _answer(signature, "predictions", _answered_rows(signature.outputs))
    columns = _tensors(signature.outputs, json_schema.of_answered_tensor)
    yield _answer(signature, "outputs", _only_or_object(columns))


def _row_dims(spec: TensorSpec) -> Dims | None:
    return None if spec.shape is None else spec.shape[1:]


def _row_schema(signature: Signature) -> Json:
    rows = {spec.name: json_schema.of_tensor(spec, _row_dims(spec)) for spec in signature.inputs}
    objects = _rows(signature, record(rows))
    return {"anyOf": [_rows(signature, next(iter(rows.values()))), objects]} if len(rows) == 1 else objects


def _rows(signature: Signature, row: Json) -> Json:
    counts = {spec.shape[0] for spec in signature.inputs if spec.shape} - {None}
    return json_schema.nested([next(iter(counts), None)], row) | ({} if counts else {"minItems": 1})


def _answered_rows(specs: tuple[TensorSpec, ...]) -> Json:
    """The bare rows of one output, or objects of several."""
    if len(specs) == 1:
        dims = _row_dims(specs[0])
        return json_schema.of_answered_tensor(specs[0], None if dims is None else (None, *dims))
    return array(record({spec.name: json_schema.of_answered_tensor(spec, _row_dims(spec)) for spec in specs}))


def _tensors(specs: tuple[TensorSpec, ...], schema: Any) -> dict[str, Json]:
    return {spec.name: schema(spec, spec.shape) for spec in specs}


def _only_or_object(members: dict[str, Json]) -> Json:
    return next(iter(members.values())) if len(members) == 1 else record(members)


def _request(signature: Signature, key: str, schema: Json) -> Json:
    optional = (_NAME,) if signature.name == DEFAULT_SIGNATURE else ()
    return record({_NAME: {"const": signature.name}, key: schema}, optional) | {"title": f"{signature.name}: {key}"}


def _answer(signature: Signature, key: str, schema: Json) -> Json:
    return record({key: schema}) | {"title": f"{signature.name}: {key}"}
