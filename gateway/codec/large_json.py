"""A large JSON body with its lists of numbers taken out: they become NumberBlocks, and the small rest is read as any body is.

A list and the string that is put in its place are both JSON values: the rest is JSON exactly if the body is. A list becomes an
array at once, without an object for each number: simdjson proves that the text is JSON and gives the numbers in one buffer,
which has lost the nesting. The brackets and commas of the text alone show the nesting; they are compared with those of an even
block.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import simdjson

from gateway.codec.elements import Array
from gateway.codec.json_text import parse_json
from gateway.codec.problems import Repeating
from gateway.errors import InvalidArgument

LEAST_BYTES: Final = 2048  # of a body; a smaller one is read faster as a whole
_LEAST_BLOCK: Final = 512
_MAX_QUOTES: Final = 512
# No string of the body can be taken for it: bodies with escapes are not read here, and a bare NUL is no JSON.
_MARK: Final = "\0"
_PLACE: Final = b'"\\u0000%d"'
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


def parse_large_json(body: bytes, *, raw_strings: bool = False, strict: bool = False) -> dict[str, Any] | None:
    """The object that ``json_text.parse_json`` reads, with NumberBlocks for large lists of numbers that are nested evenly.

    None if there are no such lists, or if the body needs a closer look: then nothing is known about it. What is read strictly
    has no repeated names.
    """
    if len(body) < LEAST_BYTES or b"\\" in body:
        return None
    pieces: list[bytes] = []
    blocks: list[NumberBlock] = []
    at = 0
    for start, end in _lists(body):
        block = read_number_block(memoryview(body)[start:end])
        if block is None:
            return None
        pieces += [body[at:start], _PLACE % len(blocks)]
        blocks.append(block)
        at = end
    if not blocks:
        return None
    try:
        rest = parse_json(b"".join([*pieces, body[at:]]), raw_strings=raw_strings, strict=strict)
    except InvalidArgument:
        return None
    # A block without a place belongs to a repeated member, or stands after the document or where only a name may.
    return rest if isinstance(rest, dict) and _fill(rest, blocks) == len(blocks) else None


def read_number_block(text: memoryview) -> NumberBlock | None:
    """The block in ``text``; None if the text is anything else, or holds a number that needs a closer look (beyond uint64)."""
    shape = _shape(text)
    values = None if shape is None else _numbers(text)
    if shape is None or values is None:
        return None
    # Without its numbers, a list of one looks like an empty one.
    shape = shape if values.size else (*shape[:-1], 0)
    return NumberBlock(values, shape) if math.prod(shape) == values.size else None


def _lists(body: bytes) -> Iterator[tuple[int, int]]:
    """The places between strings where a large piece of text begins and ends with a bracket."""
    start, quotes = 0, 0
    while start < len(body) and quotes <= _MAX_QUOTES:
        end = body.find(b'"', start)
        end = len(body) if end < 0 else end
        if end - start >= _LEAST_BLOCK:
            yield from _list_within(body, start, end)
        # Past the string: a string without escapes ends at the next quote.
        closing = body.find(b'"', end + 1)
        start = len(body) if closing < 0 else closing + 1
        quotes += 2


def _list_within(body: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = body.find(b"[", start, end)
    brace = body.find(b"}", max(first, start), end)
    last = body.rfind(b"]", start, end if brace < 0 else brace)
    if first >= 0 and last - first >= _LEAST_BLOCK:
        yield first, last + 1


def _fill(document: dict[str, Any], blocks: list[NumberBlock]) -> int:
    """Put the blocks in their places; how many places there were, or -1 if an object has a name more than once."""
    count = 0
    # A loop, because a deep document would exhaust the stack.
    containers: list[Any] = [document]
    while containers:
        container = containers.pop()
        if isinstance(container, Repeating):
            return -1
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(item, dict | list):
                containers.append(item)
            elif isinstance(item, str) and item.startswith(_MARK):
                container[key] = blocks[int(item[1:])]
                count += 1
    return count


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


def _shape(text: memoryview) -> tuple[int, ...] | None:
    """The shape that the brackets and commas of ``text`` have, if it holds nothing but lists of numbers; None if uneven."""
    characters = np.frombuffer(text, np.uint8)
    wanted = (characters | _BRACKET_BITS) == _BRACKET
    wanted |= characters == _COMMA
    structure = np.compress(wanted, characters).tobytes()
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
