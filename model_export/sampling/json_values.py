"""JSON values as arrays: nested lists of numbers, booleans, strings and {"b64": "..."}, as TensorFlow Serving reads them.

Stricter than TensorFlow Serving where it silently changes a number; half, bfloat16 and uint16, which it refuses in JSON, are
taken as numbers.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.saved_model import Array, Tensor

_LONGEST = 60
_MOST_DIMENSIONS = 64  # of an array in NumPy


class ValueProblem(ValueError):
    """A value that does not fit its input. Its text says where in the value, what was expected and what came."""


def is_base64(value: Any) -> bool:
    """Whether this is a JSON object that stands for bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def array_of(value: Any, tensor: Tensor) -> Array:
    """Return the value as an array of the tensor's dtype and of its own shape. Raises ValueProblem."""
    shape = tuple(_shape(value))
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueProblem(f"expected at most {_MOST_DIMENSIONS} lists within each other, got {len(shape)}")
    leaves = [_leaf(leaf, tensor, place) for leaf, place in _leaves(value, shape, "")]
    if tensor.dtype == tf.string:
        flat = np.empty(len(leaves), dtype=object)
        flat[:] = leaves
        return flat.reshape(shape)
    return np.array(leaves).astype(tensor.dtype.as_numpy_dtype).reshape(shape)


def shown(value: Any) -> str:
    """Return the value as JSON, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _shape(value: Any) -> Iterator[int]:
    """Yield the length of each level of the nested lists, told from the first element of each."""
    while isinstance(value, list):
        yield len(value)
        value = value[0] if value else None


def _leaves(value: Any, shape: tuple[int, ...], place: str) -> Iterator[tuple[Any, str]]:
    if not shape:
        if isinstance(value, list):
            raise ValueProblem(f"{place or 'the value'}: expected a value as in the first row, got the list {shown(value)}")
        yield value, place
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        got = f"{len(value)}" if isinstance(value, list) else shown(value)
        raise ValueProblem(f"{place or 'the value'}: expected a list of {shape[0]} as in the first row, got {got}")
    for position, element in enumerate(value):
        yield from _leaves(element, shape[1:], f"{place}[{position}]")


def _leaf(value: Any, tensor: Tensor, place: str) -> Any:
    taken = _taken(value, tensor.dtype)
    if taken is None:
        where = f"{place}: " if place else ""
        raise ValueProblem(f"{where}expected {_expected(tensor.dtype)}, got {shown(value)}")
    return taken


def _taken(value: Any, dtype: tf.DType) -> Any:
    """Return the value for this dtype, or None where it does not fit."""
    if dtype == tf.string:
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _decoded(value)
    if dtype == tf.bool:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if dtype.is_integer:
        return value if isinstance(value, int) and dtype.min <= value <= dtype.max else None
    return _as_float(value, dtype) if dtype.is_floating else None


def _as_float(number: float, dtype: tf.DType) -> float | None:
    """Return the number, or None for one that the dtype has no finite value for. NaN and Infinity are written as such."""
    try:
        wide = float(number)
    except OverflowError:
        return None
    with np.errstate(over="ignore"):
        return None if np.isfinite(wide) and not np.isfinite(np.array(wide).astype(dtype.as_numpy_dtype)) else wide


def _decoded(value: Any) -> bytes | None:
    if not is_base64(value):
        return None
    padded = "".join(value["b64"].split())
    text = padded.rstrip("=.")
    missing = -len(text) % 4
    if len(padded) - len(text) not in (0, missing):  # as absl::Base64Unescape: no padding or the right one
        return None
    try:
        return base64.b64decode(text + "=" * missing, validate=True)
    except (binascii.Error, ValueError):
        return None


def _expected(dtype: tf.DType) -> str:
    if dtype == tf.string:
        return 'a string or {"b64": "..."} in standard base64'
    if dtype == tf.bool:
        return "true or false"
    if dtype.is_integer:
        return f"an integer from {dtype.min} to {dtype.max} ({dtype.name})"
    if dtype.is_floating:
        return f"a number that {dtype.name} can hold"
    return f"no JSON: {dtype.name} comes as .npz"
