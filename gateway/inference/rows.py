"""Rows of tensors: dimension 0, where it counts independent examples, joined and taken apart again."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from gateway.inference.signature import Prediction, Signature, Tensors


def count(signature: Signature, inputs: Tensors) -> int | None:
    """The rows of ``inputs``, or None when they cannot share a batch.

    They can when every input is given, has a free dimension 0 in the declaration and otherwise fits it, and all agree on it.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    if inputs.keys() != specs.keys() or not specs:
        return None
    for name, array in inputs.items():
        spec = specs[name]
        if not spec.has_free_batch or not spec.fits(array.shape) or array.dtype != spec.dtype.numpy:
            return None
    sizes = {len(array) for array in inputs.values()}
    return (sizes.pop() or None) if len(sizes) == 1 else None


def layout(inputs: Tensors) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What must be equal for the tensors of one signature to be joined: the shapes without dimension 0."""
    return tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))


def join(parts: Sequence[Tensors]) -> Tensors:
    """The rows of all parts, which have one layout, in their order."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def split(prediction: Prediction, sizes: Sequence[int]) -> list[Prediction] | None:
    """The prediction taken apart into ``sizes`` rows each, or None when an output has not one row for each row sent."""
    total = sum(sizes)
    if any(not array.ndim or len(array) != total for array in prediction.outputs.values()):
        return None
    ends = list(accumulate(sizes))
    return [
        replace(prediction, outputs={name: array[end - size : end] for name, array in prediction.outputs.items()})
        for size, end in zip(sizes, ends, strict=True)
    ]
