"""A large list of numbers, nested evenly: JSON text becomes an array at once, without an object for each number.

simdjson proves that the text is JSON and gives the numbers in one buffer, which has lost the nesting. The brackets and commas
of the text alone show the nesting; they are compared with those of an even block.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import simdjson

Array = npt.NDArray[Any]

_MAX_RANK: Final = 16  # each level costs a look at the whole text
_GLANCE: Final = 256
_COMMA: Final = ord(",")
# With these two bits set, both brackets are the same byte, and no other byte of a list of numbers is.
_BRACKET_BITS: Final = 6
_BRACKET: Final = ord("[") | _BRACKET_BITS
# What simdjson raises for text that is no JSON, for elements that are no numbers, and for numbers beyond the type asked for.
_REFUSALS: Final = (ValueError, TypeError, RuntimeError)
_DTYPES: Final = {"i": np.dtype(np.int64), "u": np.dtype(np.uint64), "d": np.dtype(np.float64)}
_ANY: Final[tuple[Literal["i", "u", "d"], ...]] = ("i", "u", "d")
_REALS: Final = _ANY[2:]


@dataclass(frozen=True, slots=True, eq=False)
class NumberBlock:
    """A list before its dtype is known: one dimension of ``values``, row-major, and their ``shape``.

    The values are int64 or uint64 if all are integers; otherwise float64, each rounded once.
    """

    values: Array
    shape: tuple[int, ...]


def read(text: memoryview) -> NumberBlock | None:
    """The block that ``text`` is; None if it is anything else, or holds a number that needs a closer look (beyond uint64)."""
    shape = _shape(_structure(text))
    values = None if shape is None else _numbers(text)
    if shape is None or values is None:
        return None
    # Without its numbers, a list of one looks like an empty one.
    shape = shape if values.size else (*shape[:-1], 0)
    return NumberBlock(values, shape) if math.prod(shape) == values.size else None


def _numbers(text: memoryview) -> Array | None:
    try:
        # A parser of its own: a shared one must not be used again before every proxy is gone.
        document = simdjson.Parser().parse(text)
    except _REFUSALS:
        return None
    if not isinstance(document, simdjson.Array):
        return None
    # A decimal point shows that not all are integers. Without one near the beginning, trying shows it.
    for kind in _REALS if b"." in bytes(text[:_GLANCE]) else _ANY:
        try:
            return np.frombuffer(document.as_buffer(of_type=kind), _DTYPES[kind])
        except _REFUSALS:
            continue
    return None


def _structure(text: memoryview) -> bytes:
    """The brackets and commas of ``text``; they mean nothing unless it holds nothing but lists of numbers."""
    characters = np.frombuffer(text, np.uint8)
    wanted = (characters | _BRACKET_BITS) == _BRACKET
    wanted |= characters == _COMMA
    return np.compress(wanted, characters).tobytes()


def _shape(structure: bytes) -> tuple[int, ...] | None:
    """The shape of the block whose text without numbers is ``structure``; None if it is uneven."""
    start = structure[: _MAX_RANK + 1]
    rank = len(start) - len(start.lstrip(b"["))
    if rank > _MAX_RANK:
        return None
    shape: list[int] = []
    inner = b""
    for level in range(1, rank + 1):
        end = structure.find(b"]" * level) + level
        first = structure[rank - level : end]
        size = (len(first) - 1) // (len(inner) + 1)
        if first != b"[" + (inner + b",") * (size - 1) + inner + b"]":
            return None
        shape.insert(0, size)
        inner = first
    return tuple(shape) if shape and inner == structure else None
