"""The schemas of the bodies of the Open Inference Protocol's infer for one signature, and of the answers.

They are made from the schemas for any signature, which are components of the document (``schemas``).
"""

import copy
import math
from typing import Final

from gateway.api.docs.json_schema import (
    Json,
    answered_element_schema,
    array_schema,
    element_schema,
    nested_schema,
    tensor_schema,
)
from gateway.api.openinference.form import SIGNATURE_NAME
from gateway.codec.datatypes import datatype_of
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_SIZE: Final = {"type": "integer", "minimum": 0}


def infer_request_schema(signature: Signature, schemas: Json) -> Json:
    """The JSON of a request for ``signature``."""
    request: Json = copy.deepcopy(schemas["openinference.infer"]) | {"title": signature.name}
    members = request["properties"]
    members["parameters"]["properties"][SIGNATURE_NAME] = {"const": signature.name}
    members["inputs"] = _inputs(signature, schemas["openinference.input"])
    names = [spec.name for spec in signature.outputs]
    members["outputs"]["items"] = _with_members(schemas["openinference.wanted"], {"name": {"enum": names}})
    if signature.name != DEFAULT_SIGNATURE:
        members["parameters"] |= {"type": "object", "required": [SIGNATURE_NAME]}
        request["required"] = ["parameters", *request["required"]]
    return request


def infer_answer_schema(signature: Signature, schemas: Json) -> Json:
    """The JSON of an answer."""
    answer: Json = copy.deepcopy(schemas["openinference.inferred"]) | {"title": signature.name}
    outputs = [
        _with_members(
            schemas["openinference.output"],
            {"name": {"const": spec.name}, "data": array_schema(answered_element_schema(spec.dtype))},
        )
        for spec in signature.outputs
    ]
    if outputs:
        answer["properties"]["outputs"] = array_schema({"anyOf": outputs})
    return answer


def _inputs(signature: Signature, any_input: Json) -> Json:
    """The inputs in the signature's order. Any order is accepted, but JSON Schema cannot say so."""
    items = [_input(spec, any_input) for spec in signature.inputs]
    least = sum(not spec.has_default for spec in signature.inputs)
    if len(items) == 1:
        return array_schema(items[0]) | {"minItems": least, "maxItems": 1}
    if least < len(items):
        return array_schema({"anyOf": items}) | {"minItems": least, "maxItems": len(items)}
    return {"type": "array", "prefixItems": items, "minItems": least, "maxItems": least}


def _input(spec: TensorSpec, any_input: Json) -> Json:
    members = {
        "name": {"const": spec.name},
        "datatype": {"const": datatype_of(spec.dtype)},
        "shape": _shape(spec),
        "data": _data(spec),
    }
    text = f"{spec}; its data is here or, with binary_data_size, behind the JSON"
    return _with_members(any_input, members) | {"description": text}


def _with_members(schema: Json, members: Json) -> Json:
    """``schema``, that of an object, with other ``members``."""
    return schema | {"properties": schema["properties"] | members}


def _shape(spec: TensorSpec) -> Json:
    if spec.shape is None:
        return array_schema(_SIZE)
    sizes = [_SIZE if size is None else {"const": size} for size in spec.shape]
    return {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)} | ({"prefixItems": sizes} if sizes else {})


def _data(spec: TensorSpec) -> Json:
    """The data of a tensor: flat, or nested by the shape."""
    count = None if spec.shape is None or None in spec.shape else math.prod(size or 0 for size in spec.shape)
    flat = nested_schema([count], element_schema(spec.dtype))
    is_flat = spec.shape is not None and len(spec.shape) == 1
    return flat if is_flat else {"anyOf": [flat, tensor_schema(spec, spec.shape)]}
