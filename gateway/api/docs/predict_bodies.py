"""The bodies of TensorFlow Serving's :predict for one signature: their schemas, examples, and the schemas of the answers."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.api.docs import json_schema
from gateway.api.docs import samples as sample_values
from gateway.api.docs.json_schema import TEXT, Dims, Json, array, record
from gateway.api.docs.model import are_supported, has_compatible_form
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_NAME: Final = "signature_name"
_ANY_NAME: Final = {_NAME: TEXT | {"description": f"Without it: {DEFAULT_SIGNATURE}"}}
_ANY_ROWS: Final = record(_ANY_NAME | {"instances": {"type": "array", "minItems": 1}}, (_NAME,)) | {"title": "instances"}
_ANY_COLUMNS: Final = record(_ANY_NAME | {"inputs": {}}, (_NAME,)) | {"title": "inputs"}
ANY_REQUEST: Final = {"oneOf": [_ANY_ROWS, _ANY_COLUMNS]}
ANY_ANSWER: Final = {"anyOf": [record({"predictions": {"type": "array"}}), record({"outputs": {}})]}


def requests(signature: Signature) -> Iterator[Json]:
    """A schema for each format: for rows, if all inputs have a dimension 0, and for columns."""
    if _has_rows(signature.inputs):
        row = _row_schema(signature)
        yield _request(signature, "instances", row)
    tensors = _tensors(signature.inputs, json_schema.of_tensor)
    named = record(tensors)
    columns = {"anyOf": [next(iter(tensors.values())), named]} if len(tensors) == 1 else named
    yield _request(signature, "inputs", columns)


def samples(signature: Signature) -> dict[str, Any]:
    """An example for each format of ``requests`` that is answered in JSON, by the format's key. A large one is left out."""
    if not (sample_values.is_printable(signature) and are_supported(signature.outputs, has_compatible_form)):
        return {}
    made: dict[str, Any] = {}
    if _has_rows(signature.inputs) and _answers_rows(signature) and not sample_values.has_parts(signature):
        rows = {spec.name: sample_values.row(signature, spec) for spec in signature.inputs}
        made["instances"] = name_of(signature) | {"instances": [_only_or_all(rows)] * sample_values.rows(signature)}
    return made | {"inputs": columns(signature)}


def columns(signature: Signature) -> Json:
    """An example by columns, however large it is, and even if its answer has no form in JSON."""
    tensors = {spec.name: sample_values.whole(signature, spec) for spec in signature.inputs}
    return name_of(signature) | {"inputs": _only_or_all(tensors)}


def _answers_rows(signature: Signature) -> bool:
    """Whether the outputs for the samples can be answered by rows: each has a dimension 0, and all are equally long."""
    sizes = {spec.shape[0] or sample_values.rows(signature) for spec in signature.outputs if spec.shape}
    return all(spec.shape != () for spec in signature.outputs) and len(sizes) < 2


def answers(signature: Signature) -> Iterator[Json]:
    """A schema for the answer to each form of ``requests``; none if an output has no form."""
    if not all(has_compatible_form(spec.dtype) for spec in signature.outputs):
        return
    if _has_rows(signature.outputs):
        yield _answer(signature, "predictions", _answered_rows(signature.outputs))
    columns = _tensors(signature.outputs, json_schema.of_answered_tensor)
    yield _answer(signature, "outputs", _only_or_object(columns))


def _has_rows(specs: tuple[TensorSpec, ...]) -> bool:
    """Whether every tensor has a dimension 0, and as many rows as the others."""
    counts = {spec.shape[0] for spec in specs if spec.shape} - {None}
    return all(spec.shape != () for spec in specs) and len(counts) < 2


def _row_dims(spec: TensorSpec) -> Dims | None:
    return None if spec.shape is None else spec.shape[1:]


def _row_schema(signature: Signature) -> Json:
    rows = {spec.name: json_schema.of_tensor(spec, _row_dims(spec)) for spec in signature.inputs}
    objects = _rows(signature, record(rows))
    return {"anyOf": [_rows(signature, next(iter(rows.values()))), objects]} if len(rows) == 1 else objects


def name_of(signature: Signature) -> Json:
    """The member that asks for ``signature``; nothing for the default signature."""
    return {} if signature.name == DEFAULT_SIGNATURE else {_NAME: signature.name}


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


def _only_or_all(members: dict[str, Any]) -> Any:
    return next(iter(members.values())) if len(members) == 1 else members


def _request(signature: Signature, key: str, schema: Json) -> Json:
    optional = (_NAME,) if signature.name == DEFAULT_SIGNATURE else ()
    return record({_NAME: {"const": signature.name}, key: schema}, optional) | {"title": f"{signature.name}: {key}"}


def _answer(signature: Signature, key: str, schema: Json) -> Json:
    return record({key: schema}) | {"title": f"{signature.name}: {key}"}
