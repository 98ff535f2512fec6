"""Whether rows that are asked together get the answers that they get alone. Compares arrays and runs nothing.

Integers, booleans and strings must be equal. Floats may differ as another order of summation makes them differ: by a share of
the largest absolute value of the output, 1e-5 for float32, 1e-12 for float64, 1e-2 for half and bfloat16. NaN equals NaN,
and infinities of one sign are equal.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from model_export.saved_model import Array

Outputs = Mapping[str, Array]

# By the bytes of a real number; complex numbers have two.
_RTOL = {8: 1e-12, 4: 1e-5}
_RTOL_OF_SHORT_FLOATS = 1e-2


def difference(alone: Sequence[Outputs], rows: Sequence[int], joined: Outputs) -> str:
    """Return which output differs and how, in a few words; empty if each member got the same rows joined as alone.

    `alone` holds what each member got by itself, `rows` how many rows it sent, and `joined` what all of them got together.
    """
    for name, together in joined.items():
        parts = [outputs[name] for outputs in alone]
        if not _has_rows(together, sum(rows)) or not all(map(_has_rows, parts, rows)):
            return f"output {name}: not one row for each input row"
        starts = np.cumsum([0, *rows])
        slices = [together[start:end] for start, end in pairwise(starts)]
        scale = _largest([together, *parts])
        for member, (part, cut) in enumerate(zip(parts, slices, strict=True)):
            how = _differs(part, cut, scale)
            if how:
                return f"output {name}: row {starts[member] + 1} of {sum(rows)} {how} the same row alone"
    return ""


def same(first: Outputs, second: Outputs) -> bool:
    """Whether two answers to one request are equal, within the same tolerance."""
    return not any(_differs(first[name], second[name], _largest([first[name], second[name]])) for name in first)


def is_finite(outputs: Outputs) -> bool:
    """Whether no float of an answer is NaN or infinite."""
    return all(bool(np.all(np.isfinite(_wide(array)))) for array in outputs.values() if _is_float(array))


def _has_rows(array: Array, rows: int) -> bool:
    return array.ndim > 0 and array.shape[0] == rows


def _differs(alone: Array, joined: Array, scale: float) -> str:
    """Return how, followed by `from`; empty for equal arrays."""
    if alone.shape != joined.shape or alone.dtype != joined.dtype:
        return f"has shape {_text(joined.shape)} together, which differs from {_text(alone.shape)} of"
    if not _is_float(alone):
        return "" if np.array_equal(alone, joined) else "differs from"
    distance = _distance(alone, joined)
    return f"differs by {distance:.3g} from" if distance > _rtol(alone) * scale else ""


def _distance(alone: Array, joined: Array) -> float:
    """Return the largest distance of two elements; infinite where only one of them is NaN or infinite."""
    left, right = _wide(alone), _wide(joined)
    with np.errstate(invalid="ignore", over="ignore"):
        equal = (left == right) | (np.isnan(left) & np.isnan(right))
        distances = np.where(equal, 0.0, np.abs(left - right))
    return float(np.max(np.where(np.isnan(distances), np.inf, distances), initial=0.0))


def _largest(arrays: Sequence[Array]) -> float:
    sizes = [np.abs(_wide(array)) for array in arrays if _is_float(array)]
    return max((float(np.max(size[np.isfinite(size)], initial=0.0)) for size in sizes), default=0.0)


def _wide(array: Array) -> npt.NDArray[np.inexact]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _is_float(array: Array) -> bool:
    """Whether these are floats; ml_dtypes' bfloat16 and float8 have the kind V, or f, but are never integers by name."""
    return array.dtype.kind in "fc" or (array.dtype.kind == "V" and "float" in array.dtype.name)


def _rtol(array: Array) -> float:
    bytes_of_number = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    return _RTOL.get(bytes_of_number, _RTOL_OF_SHORT_FLOATS)


def _text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
