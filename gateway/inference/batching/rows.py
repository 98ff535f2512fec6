"""Rows of tensors: dimension 0, where it counts independent examples, joined and taken apart again."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.inference.signature import Signature, Tensors

RowLayout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""The names of tensors and their shapes without dimension 0."""


def row_count(signature: Signature, inputs: Tensors) -> int | None:
    """The rows of ``inputs``, or None when they cannot share a batch.

    They can when the signature may be joined (``Signature.not_joinable``), every input is given and fits its declaration, and
    all inputs agree on dimension 0.
    """
    if signature.not_joinable is not None or len(inputs) != len(signature.inputs):
        return None
    rows = None
    for spec in signature.inputs:
        array = inputs.get(spec.name)
        if array is None or not array.ndim or array.dtype != spec.dtype.numpy or not spec.fits(array.shape):
            return None
        if rows not in (None, len(array)):
            return None
        rows = len(array)
    return rows or None


def row_layout(inputs: Tensors) -> RowLayout:
    """What must be equal for the tensors of one signature to be joined: the shapes without dimension 0."""
    return tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))


def joined_rows(parts: Sequence[Tensors]) -> Tensors:
    """The rows of all parts, which have one layout, in their order."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def split_rows(outputs: Tensors, sizes: Sequence[int]) -> list[Tensors] | None:
    """The outputs taken apart into ``sizes`` rows each, or None when one of them has not one row for each row sent."""
    if outputs_without_rows(outputs, sum(sizes)):
        return None
    ends = list(accumulate(sizes))
    return [{name: array[end - size : end] for name, array in outputs.items()} for size, end in zip(sizes, ends, strict=True)]


def outputs_without_rows(outputs: Tensors, rows: int) -> list[str]:
    """The outputs that have not one row for each of ``rows`` rows sent."""
    return [name for name, array in outputs.items() if not array.ndim or len(array) != rows]


def rows_are_equal(inputs: Tensors) -> bool:
    """Whether all rows are the same, bit for bit."""
    return all(_has_one_row(array) for array in inputs.values())


def _has_one_row(array: "npt.NDArray[Any]") -> bool:
    flat = array.reshape(len(array), -1)
    if not array.dtype.hasobject:
        # As plain bytes: two NaNs may be the same, and 0.0 and -0.0 are not.
        flat = np.ascontiguousarray(flat).view(np.uint8)
    return bool((flat == flat[:1]).all())
