"""Bodies as `POST /v1/models/NAME:predict` takes them, in row format (`instances`) or columnar (`inputs`).

The rules are TensorFlow Serving's (util/json_tensor.cc): names must fit, dtypes must fit, declared shapes are not compared.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_export.sampling.json_values import ValueProblem, array_of, is_base64, shown
from model_export.sampling.sample import DEFAULT_SIGNATURE, Sample, SampleError, Signatures, find, require_inputs
from model_export.saved_model import Array, Signature, Tensor


@dataclass(frozen=True)
class JsonBody:
    """One body, parsed but not yet held against a signature."""

    place: str
    body: dict[str, Any]

    def bind(self, signatures: Signatures) -> Sequence[Sample]:
        """Return the one sample that the body is. Raises SampleError."""
        name = self.body.get("signature_name") or DEFAULT_SIGNATURE
        signature = find(signatures, name, self.place)
        if "instances" in self.body:
            inputs = _rows(self.body["instances"], signature, self.place)
        else:
            inputs = _columns(self.body["inputs"], signature, self.place)
        return [Sample(signature, inputs, self.place)]


def parse(text: str, path: str) -> list[JsonBody]:
    """Return the bodies of a file: one JSON object, or one on each line. Raises SampleError, naming the line."""
    try:
        return [_body(_loads(text), path)]
    except (ValueError, RecursionError) as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0][1]):
            raise SampleError(f"{path}: {_problem(error)}") from error
    return [_line(line, f"{path} line {number}") for number, line in lines]


def _line(line: str, place: str) -> JsonBody:
    try:
        return _body(_loads(line), place)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{place}: {_problem(error)}") from error


def _is_json(text: str) -> bool:
    try:
        _loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no valid JSON: {error.msg} at line {error.lineno} column {error.colno}"
    return "no JSON that can be read: it is nested too deeply, or a number is too large or too long"


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=_finite)


def _finite(text: str) -> float:
    """Return the number. Raises ValueError for one that no double can hold, which Python would take for infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _body(body: Any, place: str) -> JsonBody:
    expected = 'expected an object with "instances" or "inputs", as :predict takes it'
    if not isinstance(body, dict):
        raise SampleError(f"{place}: {expected}, got {shown(body)}")
    if ("instances" in body) == ("inputs" in body):
        both = "both of them" if "inputs" in body else f"the keys {', '.join(body) or '(none)'}"
        raise SampleError(f"{place}: {expected}, got {both}")
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise SampleError(f"{place}: signature_name: expected a string, got {shown(name)}")
    return JsonBody(place, body)


def _rows(instances: Any, signature: Signature, place: str) -> dict[str, Array]:
    if not isinstance(instances, list) or not instances:
        raise SampleError(f"{place}: instances: expected a list of at least one row, got {shown(instances)}")
    if _is_object(instances[0]):
        columns: dict[str, list[Any]] = {tensor.name: [] for tensor in signature.inputs}
        for position, row in enumerate(instances):
            where = f"{place}: instances[{position}]"
            if not _is_object(row):
                raise SampleError(f"{where}: expected an object with the inputs, as in the first row, got {shown(row)}")
            require_inputs(signature, list(row), where)
            for name, value in row.items():
                columns[name].append(value)
        return {tensor.name: _array(columns[tensor.name], tensor, place) for tensor in signature.inputs}
    only = _only(signature, f"{place}: instances")
    return {only.name: _array(instances, only, place)}


def _columns(inputs: Any, signature: Signature, place: str) -> dict[str, Array]:
    if _is_object(inputs):
        expected = {tensor.name for tensor in signature.inputs}
        # TensorFlow Serving ignores other names here, so they are told only where an input is missing.
        require_inputs(signature, list(expected if expected <= inputs.keys() else inputs), f"{place}: inputs")
        return {tensor.name: _array(inputs[tensor.name], tensor, place) for tensor in signature.inputs}
    only = _only(signature, f"{place}: inputs")
    return {only.name: _array(inputs, only, place)}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _only(signature: Signature, place: str) -> Tensor:
    if len(signature.inputs) != 1:
        names = ", ".join(tensor.name for tensor in signature.inputs) or "(none)"
        raise SampleError(f"{place}: signature {signature.name} takes the inputs {names}, so expected them by name")
    return signature.inputs[0]


def _array(value: Any, tensor: Tensor, place: str) -> Array:
    try:
        return array_of(value, tensor)
    except ValueProblem as problem:
        raise SampleError(f"{place}: input {tensor.name}: {problem}") from problem
