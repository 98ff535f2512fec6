"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), and the masked form of it that TFRecord files have.

Long data is taken as many lanes side by side, whose checksums are then joined: a checksum is linear over the bits.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_POLYNOMIAL: Final = 0x82F63B78
_MASK_DELTA: Final = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h
_LANE: Final = 256  # bytes
_WORTH_LANES: Final = 4096  # bytes


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = [_row(byte) for byte in range(256)]
_ARRAY: Final = np.array(_TABLE, np.uint32)


def masked_crc32c(data: bytes) -> int:
    """The checksum of ``data`` as a TFRecord has it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The checksum of ``data``."""
    start = len(data) % _LANE if len(data) >= _WORTH_LANES else len(data)
    crc = 0xFFFFFFFF
    for byte in data[:start]:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    if start < len(data):
        crc = _joined(crc, _lanes(np.frombuffer(data, np.uint8, offset=start).reshape(-1, _LANE)))
    return crc ^ 0xFFFFFFFF


def _lanes(lanes: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.uint32]":
    """The remainder of each lane alone."""
    found = np.zeros(len(lanes), np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        found = _ARRAY[(found ^ column) & 0xFF] ^ found >> np.uint32(8)
    return found


def _shifts() -> list[list[int]]:
    """What becomes of each byte of a remainder when a lane of zeros follows."""
    basis = np.array([1 << bit for bit in range(32)], np.uint32)
    for _ in range(_LANE):
        basis = _ARRAY[basis & 0xFF] ^ basis >> np.uint32(8)
    images: list[Any] = basis.tolist()
    tables = []
    for first in range(0, 32, 8):
        table = [0] * 256
        for byte in range(1, 256):
            low = byte & -byte
            table[byte] = table[byte ^ low] ^ images[first + low.bit_length() - 1]
        tables.append(table)
    return tables


_SHIFTS: Final = _shifts()


def _joined(crc: int, lanes: "npt.NDArray[np.uint32]") -> int:
    one, two, three, four = _SHIFTS
    for lane in lanes.tolist():
        crc = one[crc & 0xFF] ^ two[crc >> 8 & 0xFF] ^ three[crc >> 16 & 0xFF] ^ four[crc >> 24] ^ lane
    return crc
