"""The sample of a tensor as a Python expression with numpy."""

import math
from typing import Final

from gateway.api.samples import values
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec

_BFLOAT16_ONE: Final = 0x3F80


def array(signature: Signature, spec: TensorSpec, *, whole: bool) -> str:
    """A numpy expression for a tensor of ``signature``, or for one example of it."""
    shape = values.shape(signature, spec)
    shape = shape if whole or not spec.has_free_batch else shape[1:]
    if spec.dtype == dtypes.STRING:
        value = values.first(spec)
        return f"numpy.full({shape}, {value!r}, 'S{len(value)}')"
    if spec.dtype == dtypes.BFLOAT16:
        return f"numpy.full({shape}, {_BFLOAT16_ONE}, 'uint16').view('V2')"  # as numpy saves one
    return _numbers(signature, spec, shape, _numpy_name(spec))


def for_triton(signature: Signature, spec: TensorSpec) -> str:
    """An expression for a whole tensor as Triton's client takes it, which has strings as objects."""
    shape = values.shape(signature, spec)
    if spec.dtype == dtypes.STRING:
        return f"numpy.array([{values.first(spec)!r}] * {math.prod(shape)}, object).reshape({shape})"
    return _numbers(signature, spec, shape, "float32" if spec.dtype == dtypes.BFLOAT16 else _numpy_name(spec))


def _numbers(signature: Signature, spec: TensorSpec, shape: tuple[int, ...], dtype: str) -> str:
    """A numpy expression for a tensor of numbers, with the values of ``values``."""
    if values.is_matrix(spec, shape):
        return f"numpy.zeros({shape}, {dtype!r}) + numpy.eye({shape[-1]}, dtype={dtype!r})"
    return f"numpy.{'zeros' if values.is_index(signature, spec) else 'ones'}({shape}, {dtype!r})"


def _numpy_name(spec: TensorSpec) -> str:
    return str(spec.dtype.numpy)
