"""Protobuf's wire format, for what the generated messages do slowly: to read or to write many small members at once."""

from typing import Final

_VARINT: Final = 0
_FIXED_64: Final = 1
_LENGTH_DELIMITED: Final = 2
_FIXED_32: Final = 5
_FIXED_BYTES: Final = {_FIXED_64: 8, _FIXED_32: 4}


def packed_field(message: bytes, number: int) -> memoryview:
    """The content of the packed field ``number`` of a serialized ``message``; empty if it is not there.

    Raises ValueError for what a serialized message of proto3 does not hold.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
            if key >> 3 == number:
                return memoryview(message)[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise ValueError(f"wire type {kind}")
    return memoryview(b"")


def delimited_field(number: int, content: bytes | bytearray) -> bytes:
    """The field ``number`` of a message, a string or a message whose serialization is ``content``."""
    head = bytearray()
    for value in (number << 3 | _LENGTH_DELIMITED, len(content)):
        rest = value
        while rest > 0x7F:
            head.append(rest & 0x7F | 0x80)
            rest >>= 7
        head.append(rest)
    return bytes(head) + content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where what follows it begins."""
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | message[at] << shift, at + 1
