"""A large body with its lists of numbers taken out: they become NumberBlocks, and the small rest is read as any body is.

A list and the string that is put in its place are both JSON values: the rest is JSON exactly if the body is.
"""

from collections.abc import Iterator
from typing import Any, Final

from gateway.codec import json_text, number_block
from gateway.codec.number_block import NumberBlock
from gateway.codec.problems import Repeating
from gateway.errors import InvalidArgument

LEAST_BYTES: Final = 2048  # of a body; a smaller one is read faster as a whole
_LEAST_BLOCK: Final = 512
_MAX_QUOTES: Final = 512
# No string of the body can be taken for it: bodies with escapes are not read here, and a bare NUL is no JSON.
_MARK: Final = "\0"
_PLACE: Final = b'"\\u0000%d"'


def parse(body: bytes, *, raw_strings: bool = False, strict: bool = False) -> dict[str, Any] | None:
    """The object that ``json_text.parse`` reads, with NumberBlocks for large lists of numbers that are nested evenly.

    None if there are no such lists, or if the body needs a closer look: then nothing is known about it. What is read strictly
    has no repeated names.
    """
    if len(body) < LEAST_BYTES or b"\\" in body:
        return None
    pieces: list[bytes] = []
    blocks: list[NumberBlock] = []
    at = 0
    for start, end in _lists(body):
        block = number_block.read(memoryview(body)[start:end])
        if block is None:
            return None
        pieces += [body[at:start], _PLACE % len(blocks)]
        blocks.append(block)
        at = end
    if not blocks:
        return None
    try:
        rest = json_text.parse(b"".join([*pieces, body[at:]]), raw_strings=raw_strings, strict=strict)
    except InvalidArgument:
        return None
    # A block without a place belongs to a repeated member, or stands after the document or where only a name may.
    return rest if isinstance(rest, dict) and _fill(rest, blocks) == len(blocks) else None


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
    """Put the blocks in their places; how many places there were, or -1 if an object has a name more than once.

    A loop, because a deep document would exhaust the stack.
    """
    count = 0
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
