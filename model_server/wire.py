"""The few bits of protobuf's wire format that tensors need: varints, packed fields, and strings in ``tensor_content``."""

import numpy as np
from numpy.typing import NDArray


def packed_tag(field_number: int) -> int:
    """The tag of a packed repeated field."""
    return field_number << 3 | 2


def packed(tag: int, memory: bytes) -> bytes:
    """A packed repeated field whose elements are laid out as in memory (little-endian)."""
    return b"".join((varint(tag), varint(len(memory)), memory)) if memory else b""


def varint(number: int) -> bytes:
    """A number in 7-bit groups, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def join_strings(strings: list[bytes]) -> bytes:
    """The strings' lengths as varints, and then the strings (port::EncodeStringList)."""
    return b"".join([*(varint(len(string)) for string in strings), *strings])


def split_strings(content: bytes, count: int) -> NDArray[np.object_]:
    """Undo ``join_strings``; ValueError if ``content`` does not hold ``count`` strings."""
    lengths, at = [], 0
    for _ in range(count):
        length, at = _read_varint(content, at)
        lengths.append(length)
    if sum(lengths) != len(content) - at:
        raise ValueError("string lengths do not add up")
    strings = np.empty(count, np.object_)
    for i, length in enumerate(lengths):
        strings[i] = content[at : at + length]
        at += length
    return strings


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        if at >= len(content) or shift > 28:
            raise ValueError("truncated string length")
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
