"""Tensors as raw bytes: the binary tensor data extension of the Open Inference Protocol, one tensor at a time.

Elements are little-endian (as every host of TensorFlow is), row-major, without padding. A BOOL is one byte, 0 or 1; a BYTES
element has its length before it, in 4 bytes.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from gateway.codec.datatypes import datatype_of
from gateway.codec.elements import Array
from gateway.inference import dtypes
from gateway.inference.dtypes import DType

_LENGTH_BYTES: Final = 4
_SMALL_BYTES: Final = 4096


class Unreadable(Exception):
    """Raised when bytes are not the tensor that they should be; both attributes are short phrases for a person."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected, self.got = expected, got


def decode_raw_tensor(data: memoryview, dtype: DType, shape: Sequence[int]) -> Array:
    """The tensor that ``data`` holds: a read-only view of it, except for strings. Raises Unreadable."""
    count = math.prod(shape)
    if dtype == dtypes.STRING:
        return _strings(data, count).reshape(shape)
    expected = count * np.dtype(dtype.numpy).itemsize
    if len(data) != expected:
        raise Unreadable(f"{_bytes(expected)} for {datatype_of(dtype)} {list(shape)}", _bytes(len(data)))
    if not data:
        return np.empty(shape, dtype.numpy)
    if dtype == dtypes.BOOL:
        values = np.frombuffer(data, np.uint8)
        others = np.flatnonzero(values > 1)
        if others.size:
            raise Unreadable("bytes of 0 or 1 for BOOL", f"{values[others[0]]} at element {others[0]}")
    return np.ndarray(shape, dtype.numpy, data)


def encode_raw_tensor(array: Array) -> bytes | memoryview:
    """The bytes of ``array`` for ``b"".join``: those of a large one are its own memory if they lie in order."""
    if array.dtype == object:
        items: list[bytes] = array.ravel().tolist()
        return b"".join(part for item in items for part in (len(item).to_bytes(_LENGTH_BYTES, "little"), item))
    if array.nbytes <= _SMALL_BYTES:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _strings(data: memoryview, count: int) -> Array:
    if count * _LENGTH_BYTES > len(data):
        raise Unreadable(f"{_counted(count)}, each after its length in {_LENGTH_BYTES} bytes", _bytes(len(data)))
    text, items, at = bytes(data), [], 0
    for index in range(count):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(text[at:start], "little")
        if at > len(text):
            raise Unreadable(f"{_counted(count)} in {len(text)} bytes", f"an element {index} that ends at byte {at}")
        items.append(text[start:at])
    if at != len(text):
        raise Unreadable(f"{_counted(count)}, of which the last ends at byte {at}", _bytes(len(text)))
    array = np.empty(count, dtype=object)
    array[:] = items
    return array


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def _counted(count: int) -> str:
    return "1 BYTES element" if count == 1 else f"{count} BYTES elements"
