"""The schemas of the bodies of the Open Inference Protocol's infer for one signature, and of the answers."""

import math
from typing import Final

from gateway.api.docs import json_schema
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.openinference.form import SIGNATURE_NAME
from gateway.codec import datatypes
from gateway.codec.datatypes import datatype_of
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

SIZE: Final = {"type": "integer", "minimum": 0}
FLAG: Final = {"type": ["boolean", "null"]}

_DATATYPE: Final = {"enum": list(datatypes.BY_NAME)}
_INPUT_PARAMETERS: Final = record({"binary_data_size": SIZE}, ("binary_data_size",), is_open=True)
_ANY_INPUT: Final = record(
    {"name": TEXT, "datatype": _DATATYPE, "shape": array(SIZE), "data": {}, "parameters": _INPUT_PARAMETERS},
    ("data", "parameters"),
)


def request(signature: Signature | None) -> Json:
    """The JSON of a request; None: for any signature."""
    is_default = signature is None or signature.name == DEFAULT_SIGNATURE
    parameters: dict[str, Json] = {
        SIGNATURE_NAME: TEXT if signature is None else {"const": signature.name},
        "binary_data_output": FLAG,
    }
    optional = ("binary_data_output", *([SIGNATURE_NAME] if is_default else []))
    members: dict[str, Json] = {
        "id": {"type": ["string", "null"]},
        "model_name": {"type": ["string", "null"]},
        "parameters": record(parameters, optional, is_open=True) | ({"type": ["object", "null"]} if is_default else {}),
        "inputs": array(_ANY_INPUT) | {"minItems": 1} if signature is None else _inputs(signature),
        "outputs": _wanted(signature),
    }
    body = record(members, ("id", "model_name", "outputs", *(["parameters"] if is_default else [])))
    return body if signature is None else body | {"title": signature.name}


def answer(signature: Signature | None) -> Json:
    """The JSON of an answer; None: for any signature."""
    specs = () if signature is None else signature.outputs
    known = [_output({"const": spec.name}, array(json_schema.of_answered_element(spec.dtype))) for spec in specs]
    outputs = {"anyOf": known} if known else _output(TEXT, {"type": "array"})
    members = {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": array(outputs)}
    body = record(members, ("id",))
    return body if signature is None else body | {"title": signature.name}


def _wanted(signature: Signature | None) -> Json:
    name = TEXT if signature is None else {"enum": [spec.name for spec in signature.outputs]}
    parameters = record({"binary_data": FLAG}, ("binary_data",), is_open=True)
    wanted = array(record({"name": name, "parameters": parameters}, ("parameters",)))
    return wanted | {"type": ["array", "null"], "description": "The outputs that are wanted, each once; none: all"}


def _inputs(signature: Signature) -> Json:
    """The inputs in the signature's order. Any order is accepted, but JSON Schema cannot say so."""
    items = [_input(spec) for spec in signature.inputs]
    required = [spec for spec in signature.inputs if not spec.has_default]
    if len(items) == 1:
        return array(items[0]) | {"minItems": len(required), "maxItems": 1}
    if len(required) < len(items):
        return array({"anyOf": items}) | {"minItems": len(required), "maxItems": len(items)}
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _input(spec: TensorSpec) -> Json:
    members = {
        "name": {"const": spec.name},
        "datatype": {"const": datatype_of(spec.dtype)},
        "shape": _shape(spec),
        "data": _data(spec),
        "parameters": _INPUT_PARAMETERS,
    }
    described = {"description": f"{spec}; its data is here or, with binary_data_size, behind the JSON"}
    return record(members, ("data", "parameters")) | described


def _shape(spec: TensorSpec) -> Json:
    if spec.shape is None:
        return array(SIZE)
    sizes = [SIZE if size is None else {"const": size} for size in spec.shape]
    return {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)} | ({"prefixItems": sizes} if sizes else {})


def _data(spec: TensorSpec) -> Json:
    """The data of a tensor: flat, or nested by the shape."""
    count = None if spec.shape is None or None in spec.shape else math.prod(size or 0 for size in spec.shape)
    flat = json_schema.nested([count], json_schema.of_element(spec.dtype))
    is_flat = spec.shape is not None and len(spec.shape) == 1
    return flat if is_flat else {"anyOf": [flat, json_schema.of_tensor(spec, spec.shape)]}


def _output(name: Json, data: Json) -> Json:
    parameters = record({"binary_data_size": SIZE})
    members = {"name": name, "datatype": _DATATYPE, "shape": array(SIZE), "data": data, "parameters": parameters}
    return record(members, ("data", "parameters"))
