"""Rows of tensors: dimension 0, where it counts independent examples, joined and taken apart again."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from gateway.inference.signature import Signature, Tensors


def count(signature: Signature, inputs: Tensors) -> int | None:
    """The rows of ``inputs``, or None when they cannot share a batch.

    They can when every input is given, has a free dimension 0 in the declaration and otherwise fits it, and all agree on it.
    """
    if len(inputs) != len(signature.inputs):
        return None
    rows = None
    for spec in signature.inputs:
        array = inputs.get(spec.name)
        if array is None or not spec.has_free_batch or array.dtype != spec.dtype.numpy or not spec.fits(array.shape):
            return None
        if rows not in (None, len(array)):
            return None
        rows = len(array)
    return rows or None


def layout(inputs: Tensors) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What must be equal for the tensors of one signature to be joined: the shapes without dimension 0."""
    return tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))


def join(parts: Sequence[Tensors]) -> Tensors:
    """The rows of all parts, which have one layout, in their order."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def split(outputs: Tensors, sizes: Sequence[int]) -> list[Tensors] | None:
    """The outputs taken apart into ``sizes`` rows each, or None when one of them has not one row for each row sent."""
    total = sum(sizes)
    if any(not array.ndim or len(array) != total for array in outputs.values()):
        return None
    ends = list(accumulate(sizes))
    return [{name: array[end - size : end] for name, array in outputs.items()} for size, end in zip(sizes, ends, strict=True)]
