"""Probe rows: rows that no client sent, put beside those of a comparison. They show a dependence that the requests do not.

A model that divides by the largest value of a call, or pads to its longest text, answers requests that are alike as if their
rows were independent. Beside a row of large values, or a long text, it does not.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.inference.signature import Tensors

COUNT: Final = 2
"""Rows of one kind."""

KINDS: Final = 2
"""Kinds of rows: such that most models take them, and such that fewer do."""

_NUMBERS: Final = ((0, 1), (-1000, 1000))
_TEXTS: Final = ((b"", b"0"), (b"1", b"one two three four five six seven eight nine ten"))


def beside(inputs: Tensors, kind: int) -> Tensors:
    """``COUNT`` rows of the ``kind`` (below ``KINDS``) for inputs of one row or more."""
    return {name: _rows(array, kind) for name, array in inputs.items()}


def _rows(array: "npt.NDArray[Any]", kind: int) -> "npt.NDArray[Any]":
    rows = np.empty((COUNT, *array.shape[1:]), array.dtype)
    if array.dtype.hasobject:
        values: tuple[Any, ...] = _TEXTS[kind]
    elif kind and array.dtype.kind in "iu":
        # Integers are often places in a table: only those that were sent are surely in it.
        values = (array.min(), array.max())
    else:
        values = _NUMBERS[kind]
    for position, value in enumerate(values):
        rows[position] = value
    return rows
