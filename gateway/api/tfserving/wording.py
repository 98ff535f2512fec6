"""The first reason to refuse a :predict body, in TensorFlow Serving's order and words (``util/json_tensor.cc``).

Clients match on these texts. A text is only looked for after a body was refused, so that good bodies cost no more.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from gateway.codec import b64
from gateway.codec.elements import Element, fits_element, misfit_elements
from gateway.codec.json_text import dump_json
from gateway.codec.nested_lists import MAX_RANK, shape_of_lists
from gateway.codec.problems import cut_text
from gateway.errors import GatewayError, InvalidArgument, Unimplemented
from gateway.inference import dtypes

_TYPE_NAMES: Final = {bool: "True", int: "Number", float: "Number", str: "String", list: "Array", dict: "Object"}


def document_refusal(document: Any, text: str) -> InvalidArgument:
    """The refusal of a whole ``document``, which ``text`` says why."""
    return InvalidArgument(f"JSON Value: {dump_json(document)} {text}")


def tensor_refusal(value: Any, kind: Element) -> GatewayError | None:
    """Why ``value`` is no tensor of ``kind`` elements, or None if it is one (``FillTensorProto``)."""
    shape = shape_of_lists(value)
    if len(shape) > MAX_RANK:
        return InvalidArgument(f"JSON Value: {dump_json(value)} has more than {MAX_RANK} dimensions")
    return _fill(value, 0, shape, kind)


def named_instance_refusal(
    index: int, instance: Any, first: Mapping[str, Any], kinds: Mapping[str, Element]
) -> InvalidArgument | None:
    """Why an element of 'instances' that should be an object does not fit; ``first`` is the one at index 0."""
    if not b64.is_object(instance):
        return InvalidArgument(f"Expecting object but got list at item {index} of input list")
    for name, value in instance.items():
        problem: GatewayError | None = InvalidArgument(f"JSON object: does not have named input: {cut_text(name, 200)}")
        if name in kinds:
            problem = _of_value(value, first.get(name, value), kinds[name])
        if problem:
            return _in_instances(f"{index} key: {cut_text(name, 200)}", problem)
    if instance.keys() != kinds.keys():
        keys = ",".join(sorted(kinds))
        text = f"of 'instances' list. JSON object: {dump_json(instance)} keys must be equal to: {keys}"
        return InvalidArgument(f"Failed to process element: {index} {text}")
    return None


def plain_instance_refusal(index: int, instance: Any, first: Any, kind: Element) -> InvalidArgument | None:
    """Why an element of 'instances' that should be a value or a list does not fit; ``first`` is the one at index 0."""
    if b64.is_object(instance):
        return InvalidArgument(f"Expecting value/list but got object at item {index} of input list")
    problem = _of_value(instance, first, kind)
    return _in_instances(str(index), problem) if problem else None


def _of_value(value: Any, first: Any, kind: Element) -> GatewayError | None:
    """Why ``value`` is no tensor of ``kind`` elements, or does not have the shape of ``first``."""
    problem = tensor_refusal(value, kind)
    if problem:
        return problem
    shape, expected = shape_of_lists(value), shape_of_lists(first)
    if math.prod(shape) != math.prod(expected):
        return InvalidArgument(f"Expecting tensor size: {math.prod(expected)} but got: {math.prod(shape)}")
    return InvalidArgument(f"Expecting shape {_text(expected)} but got: {_text(shape)}") if shape != expected else None


def _in_instances(place: str, problem: GatewayError) -> InvalidArgument:
    return InvalidArgument(f"Failed to process element: {place} of 'instances' list. Error: {problem.code}: {problem.message}")


def _fill(value: Any, level: int, shape: tuple[int, ...], kind: Element) -> GatewayError | None:
    rank = len(shape)
    if not isinstance(value, list):
        return _of_scalar(value, level, rank, kind)
    if level >= rank:
        return InvalidArgument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        text = f"{len(value)} at level: {level} expected size: {shape[level]}"
        return InvalidArgument(f"Encountered list at unexpected size: {text}")
    if level == rank - 1:
        return next((_fill(value[index], rank, shape, kind) for index in misfit_elements(value, kind)), None)
    found = (_fill(item, level + 1, shape, kind) for item in value)
    return next((problem for problem in found if problem), None)


def _of_scalar(value: Any, level: int, rank: int, kind: Element) -> GatewayError | None:
    if level != rank:
        text = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {rank}"
        return InvalidArgument(f"JSON Value: {dump_json(value)} {text}")
    if fits_element(value, kind):
        return None
    if isinstance(value, dict) and kind.dtype == dtypes.STRING:
        if b64.is_b64(value):
            return InvalidArgument("Unable to base64 decode")
        return InvalidArgument(f"JSON Value: {dump_json(value)} not formatted correctly for base64 data")
    if not isinstance(value, dict) and not kind.is_supported:
        return Unimplemented(f"Conversion of JSON Value: {dump_json(value)} to type: {kind.dtype}")
    expected = f"is not of expected type: {kind.dtype}"
    return InvalidArgument(f"JSON Value: {dump_json(value)} Type: {json_type(value)} {expected}")


def json_type(value: Any) -> str:
    """The JSON type of ``value`` as upstream's messages call it."""
    if value is None or value is False:
        return "Null" if value is None else "False"
    return _TYPE_NAMES[type(value)]


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
