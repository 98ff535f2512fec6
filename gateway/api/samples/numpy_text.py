"""The sample of a tensor as a Python expression with numpy."""

import math
from typing import Final

from gateway.api.samples import values
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec

_BFLOAT16_ONE: Final = 0x3F80


def numpy_expression(signature: Signature, spec: TensorSpec, *, is_example: bool = False) -> str:
    """An expression for a tensor of ``signature``; ``is_example``: for one example of it."""
    shape = values.sample_shape(signature, spec)
    shape = shape[1:] if is_example and spec.has_free_batch else shape
    if spec.dtype == dtypes.STRING:
        value = values.string_sample(spec)
        return f"numpy.full({shape}, {value!r}, 'S{len(value)}')"
    if spec.dtype == dtypes.BFLOAT16:
        return f"numpy.full({shape}, {_BFLOAT16_ONE}, 'uint16').view('V2')"  # as numpy saves one
    return _numbers(signature, spec, shape, str(spec.dtype.numpy))


def triton_expression(signature: Signature, spec: TensorSpec) -> str:
    """An expression for a whole tensor as Triton's client takes it, which has strings as objects."""
    shape = values.sample_shape(signature, spec)
    if spec.dtype == dtypes.STRING:
        return f"numpy.array([{values.string_sample(spec)!r}] * {math.prod(shape)}, object).reshape({shape})"
    return _numbers(signature, spec, shape, "float32" if spec.dtype == dtypes.BFLOAT16 else str(spec.dtype.numpy))


def _numbers(signature: Signature, spec: TensorSpec, shape: tuple[int, ...], dtype: str) -> str:
    if values.is_matrix_sample(spec, shape):
        return f"numpy.zeros({shape}, {dtype!r}) + numpy.eye({shape[-1]}, dtype={dtype!r})"
    return f"numpy.{'zeros' if values.is_sparse_index(signature, spec) else 'ones'}({shape}, {dtype!r})"
