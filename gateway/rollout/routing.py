"""Where a request goes: a caller's place on a line from 0 to 1, of which the canary has the beginning.

A larger weight only moves the canary's end, so a caller of the canary stays there; 0 and 1 are exact. The baseline has the
other end of the line, as long as the canary's part.
"""

from hashlib import blake2b
from typing import Final

from gateway.rollout.plan import WHOLE, Arm

_WORD: Final = 2**64
_CELL_BITS: Final = 16


def bucket(salt: str, key: str) -> int:
    """The place of a caller in the rollout with ``salt``, as a number under 2^64: the same in every worker and gateway.

    All salts are of one length, so that no two of them make the same text of different keys.
    """
    return int.from_bytes(blake2b((salt + key).encode("utf-8", "surrogatepass")).digest()[:8], "big")


def position(place: int) -> float:
    """``place`` on the line from 0 to 1; 1 itself is never reached."""
    return (place >> 11) / (_WORD >> 11)  # the 53 bits that a float can hold


def cell_of(place: int) -> int:
    """The cell of the evidence that a caller counts in, under 65,536. Its low bits, since the high ones choose the arm."""
    return place & ((1 << _CELL_BITS) - 1)


def arm_of(position: float, weight: int) -> Arm:
    """The arm of the caller at ``position`` in [0, 1), if the canary has ``weight`` millionths of the callers."""
    here = position * WHOLE
    if here < weight:
        return Arm.CANARY
    return Arm.BASELINE if here >= WHOLE - min(weight, WHOLE - weight) else Arm.STABLE
