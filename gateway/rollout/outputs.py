"""Compares what two versions answered to the same input: the first output that differs beyond its tolerance.

Integers, booleans and strings must be equal. Floats may differ by ``atol + rtol * |stable|``; NaN equals NaN, and an infinity
only itself. Complex numbers are compared by the absolute value of their difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.inference.signature import Tensors
from gateway.rollout.plan import ANY_OUTPUT, Tolerance

_Array: TypeAlias = npt.NDArray[Any]
_MOST_TEXT: Final = 80
_WIDE: Final = {"f": np.float64, "c": np.complex128}


@dataclass(frozen=True, slots=True)
class Difference:
    """An output that differs. ``how`` tells a person; ``gap`` is the largest absolute difference, None where there is no such.

    ``stable`` and ``canary``: the values at that place, or the shapes or dtypes, as short text. ``top1_differs``: whether the
    largest of the last axis is another one anywhere; None for what is no float output of at least two values in a row.
    """

    output: str
    how: str
    gap: float | None = None
    stable: str = ""
    canary: str = ""
    top1_differs: bool | None = None


def compare(stable: Tensors, canary: Tensors, tolerances: Mapping[str, Tolerance]) -> Difference | None:
    """The first difference in the order of the outputs' names; None if the answers agree.

    ``tolerances`` by output; ``*`` is that of every other one.
    """
    for name in sorted(stable.keys() | canary.keys()):
        if name not in canary or name not in stable:
            return Difference(name, "the canary does not give it" if name in stable else "only the canary gives it")
        tolerance = tolerances.get(name) or tolerances.get(ANY_OUTPUT) or Tolerance()
        found = _differs(name, stable[name], canary[name], tolerance)
        if found is not None:
            return found
    return None


def _differs(name: str, stable: _Array, canary: _Array, tolerance: Tolerance) -> Difference | None:
    if stable.dtype != canary.dtype:
        return Difference(name, "the dtypes differ", None, str(stable.dtype), str(canary.dtype))
    if stable.shape != canary.shape:
        return Difference(name, "the shapes differ", None, str(list(stable.shape)), str(list(canary.shape)))
    wide = _wide(stable.dtype)
    if wide is None:
        return _unequal(name, stable, canary)
    return _far(name, stable.astype(wide), canary.astype(wide), tolerance)


def _wide(dtype: "np.dtype[Any]") -> type | None:
    """The dtype that floats are compared in; None for what must be equal. bfloat16 is of kind V to numpy."""
    return np.float64 if dtype.name == "bfloat16" else _WIDE.get(dtype.kind)


def _unequal(name: str, stable: _Array, canary: _Array) -> Difference | None:
    where = np.asarray(stable != canary)
    if not where.any():
        return None
    at = _first(where)
    gap = float(abs(int(stable[at]) - int(canary[at]))) if stable.dtype.kind in "iu" else None
    return Difference(name, _places(where), gap, _text(stable[at]), _text(canary[at]))


def _far(name: str, stable: _Array, canary: _Array, tolerance: Tolerance) -> Difference | None:
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(canary - stable)
        # An infinite stable would allow everything.
        allowed = np.where(np.isfinite(stable), tolerance.atol + tolerance.rtol * np.abs(stable), 0.0)
        same = (gaps <= allowed) | (stable == canary) | (np.isnan(stable) & np.isnan(canary))
    where = np.asarray(~same)
    if not where.any():
        return None
    at = _largest(np.where(where, gaps, -1.0))
    gap = float(gaps[at]) if np.isfinite(gaps[at]) else None
    return Difference(name, _places(where), gap, _text(stable[at]), _text(canary[at]), _top1_differs(stable, canary))


def _top1_differs(stable: _Array, canary: _Array) -> bool | None:
    if stable.dtype.kind != "f" or stable.ndim == 0 or stable.shape[-1] < 2:
        return None
    return bool((np.argmax(stable, axis=-1) != np.argmax(canary, axis=-1)).any())


def _first(where: _Array) -> tuple[int, ...]:
    return tuple(int(one) for one in np.unravel_index(int(np.argmax(where)), where.shape))


def _largest(gaps: _Array) -> tuple[int, ...]:
    """The place of the largest gap; one that is no number is larger than any."""
    return _first(np.where(np.isnan(gaps), np.inf, gaps))


def _places(where: _Array) -> str:
    return f"{int(where.sum()):,} of {where.size:,} values differ"


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
