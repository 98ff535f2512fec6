"""Probe rows: rows that no client sent, put beside those of a comparison. They show a dependence that the requests do not.

A model that divides by the largest value of a call, or pads to its longest text, answers requests that are alike as if their
rows were independent. Beside a row of large values, or a long text, it does not.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.inference.signature import Tensors

PROBE_COUNT: Final = 2
"""Rows of one kind."""

PROBE_KINDS: Final = 2
"""Kinds of rows: such that most models take them, and such that fewer do."""

_NUMBERS: Final = ((0, 1), (-1000, 1000))
_TEXTS: Final = ((b"", b"0"), (b"1", b"one two three four five six seven eight nine ten"))


def probe_rows(inputs: Tensors, kind: int) -> Tensors:
    """``PROBE_COUNT`` rows of the ``kind`` (below ``PROBE_KINDS``) for inputs of one row or more."""
    return {name: filled_rows(array, _values(array, kind)) for name, array in inputs.items()}


def filled_rows(like: "npt.NDArray[Any]", values: Sequence[Any]) -> "npt.NDArray[Any]":
    """One row for each of ``values``, filled with it; with the dtype and the shape of the rows of ``like``."""
    rows = np.empty((len(values), *like.shape[1:]), like.dtype)
    for position, value in enumerate(values):
        rows[position] = value
    return rows


def _values(array: "npt.NDArray[Any]", kind: int) -> Sequence[Any]:
    if array.dtype.hasobject:
        return _TEXTS[kind]
    if kind and array.dtype.kind in "iu":
        # Integers are often places in a table: only those that were sent are surely in it.
        return array.min(), array.max()
    return _NUMBERS[kind]
