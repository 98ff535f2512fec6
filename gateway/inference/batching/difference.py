"""Compares what requests were answered in one shared call with what each of them is answered alone.

Integers, booleans and strings must be equal. Floats may differ by a tolerance that allows for another order of summation, as
matrix products have it for another number of rows: it is relative to the largest finite value of the output.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

from gateway.inference.batching.rows import outputs_without_rows
from gateway.inference.signature import Tensors

TOLERANCES: Final = {
    np.dtype(np.float32): 1e-5,
    np.dtype(np.complex64): 1e-5,
    np.dtype(np.float64): 1e-12,
    np.dtype(np.complex128): 1e-12,
    np.dtype(np.float16): 1e-2,
    np.dtype(ml_dtypes.bfloat16): 1e-2,
}
"""By dtype: how much a value may differ, relative to the largest value of the output. Other dtypes must be equal."""

NOT_ROWS: Final = "not one row for each input row"

_WIDER: Final = {np.dtype(np.float16): np.float32, np.dtype(ml_dtypes.bfloat16): np.float32}


@dataclass(frozen=True, slots=True)
class Difference:
    """The output whose rows depend on what else is in the call, and how this was seen, in words."""

    output: str
    how: str

    def __str__(self) -> str:
        return f"output {self.output}: {self.how}"


def first_difference(shared: Tensors, alone: Sequence[Tensors], sizes: Sequence[int]) -> Difference | None:
    """The first difference between the outputs of a shared call and those of its members; None when there is none.

    ``alone`` holds the outputs of each member's own call, in the order of the members, and ``sizes`` the rows of each.
    """
    for name, array in shared.items():
        parts = [outputs[name] for outputs in alone if name in outputs]
        if len(parts) != len(alone):
            return Difference(name, "is not always given")
        how = _counted(array, parts, sizes) or _compared(array, parts)
        if how is not None:
            return Difference(name, how)
    return None


def _counted(shared: "npt.NDArray[Any]", parts: "Sequence[npt.NDArray[Any]]", sizes: Sequence[int]) -> str | None:
    pairs = [(shared, sum(sizes)), *zip(parts, sizes, strict=True)]
    return NOT_ROWS if any(outputs_without_rows({"": array}, size) for array, size in pairs) else None


def _compared(shared: "npt.NDArray[Any]", parts: "Sequence[npt.NDArray[Any]]") -> str | None:
    for part in parts:
        if part.shape[1:] != shared.shape[1:]:
            return f"a row has shape {list(shared.shape[1:])} in a shared call and {list(part.shape[1:])} alone"
        if part.dtype != shared.dtype:
            return f"it is {shared.dtype} in a shared call and {part.dtype} alone"
    lone = np.concatenate(parts)
    is_different, by = _compared_values(shared, lone)
    if not is_different.any():
        return None
    row = int(np.argwhere(is_different)[0][0])
    return f"row {row + 1} of {len(shared)} in a shared call differs{by} from the same row alone"


def _compared_values(shared: "npt.NDArray[Any]", lone: "npt.NDArray[Any]") -> tuple["npt.NDArray[np.bool_]", str]:
    """Where two arrays differ, and by how much in the first place."""
    tolerance = TOLERANCES.get(shared.dtype)
    if tolerance is None:
        return np.asarray(shared != lone), ""
    is_different, gaps, largest = differing_floats(shared, lone, tolerance)
    by = f" by {gaps[is_different][0]:.3g}, where the largest value is {largest:.3g}," if is_different.any() else ""
    return is_different, by


def differing_floats(
    one: "npt.NDArray[Any]", other: "npt.NDArray[Any]", tolerance: float
) -> tuple["npt.NDArray[np.bool_]", "npt.NDArray[Any]", float]:
    """Where two arrays of one float dtype and shape differ, by how much everywhere, and the largest finite value of both.

    NaN equals NaN, an infinity only itself. ``tolerance`` is relative to the largest value.
    """
    dtype = _WIDER.get(one.dtype, one.dtype)
    one, other = one.astype(dtype, copy=False), other.astype(dtype, copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(one - other)
        largest = max(float(np.abs(array[np.isfinite(array)]).max(initial=0)) for array in (one, other))
        is_different = ~np.isclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True)
    return is_different, gaps, largest
