"""A value for each tensor of a signature, as JSON or as a numpy expression. It is always the same, and a model likely takes it.

A signature tells dtype and shape. It does not tell what a string must hold, such as an image or a serialized message, so that
the sample of a string is a guess.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from gateway.codec import b64
from gateway.codec.b64 import decode_base64
from gateway.codec.elements import Array
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec

_FREE: Final = 1
_FEATURE: Final = 1.5  # not 1.0: a browser writes that as 1, and an integer is another kind of feature
_MAX_ELEMENTS: Final = 1024  # of a tensor that is small enough to be printed
_MAX_ROWS: Final = 16  # where only the outputs tell how many rows there must be
_FLOATS: Final = (dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16)
_BFLOAT16_ONE: Final = 0x3F80
_COMPLEX: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)
_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
_IMAGE_NAME: Final = re.compile(r"image|img|picture|photo|png|jpe?g|gif", re.IGNORECASE)


def sample_shape(signature: Signature, spec: TensorSpec) -> tuple[int, ...]:
    """The sizes of a whole tensor: ``sample_rows`` for a free dimension 0 or an unknown rank, and 1 for any other free one."""
    if spec.shape is None:
        return (sample_rows(signature),)
    sizes = tuple(_FREE if size is None else size for size in spec.shape)
    return (sample_rows(signature), *sizes[1:]) if spec.has_free_batch else sizes


def sample_rows(signature: Signature) -> int:
    """How many examples there are: as many as an input always has, or else all outputs (if they are few), or else 1."""
    if has_sparse_parts(signature):
        return _FREE
    fixed = {spec.shape[0] for spec in signature.inputs if spec.shape} - {None}
    answered = {spec.shape[0] if spec.shape else None for spec in signature.outputs}
    count = max(fixed or (answered if len(answered) == 1 else ()), key=lambda size: size or 0, default=None)
    return count if count and (fixed or count <= _MAX_ROWS) else _FREE


def whole_sample(signature: Signature, spec: TensorSpec) -> Any:
    """A whole tensor as nested JSON lists; one element where it has no dimensions."""
    return _sample(signature, spec, sample_shape(signature, spec)).tolist()


def row_sample(signature: Signature, spec: TensorSpec) -> Any:
    """One of the examples along dimension 0, as nested JSON lists."""
    return _sample(signature, spec, sample_shape(signature, spec)[1:]).tolist()


def flat_sample(signature: Signature, spec: TensorSpec) -> Any:
    """The elements of a whole tensor as one list, in row-major order."""
    return _sample(signature, spec, sample_shape(signature, spec)).ravel().tolist()


def string_sample(spec: TensorSpec) -> bytes:
    """An element of a string tensor, as bytes."""
    value = _element(spec)
    return value.encode() if isinstance(value, str) else decode_base64(value[b64.KEY])


def numpy_expression(signature: Signature, spec: TensorSpec, *, is_example: bool = False) -> str:
    """An expression for a tensor of ``signature``; ``is_example``: for one example of it."""
    shape = sample_shape(signature, spec)
    shape = shape[1:] if is_example and spec.has_free_batch else shape
    if spec.dtype == dtypes.STRING:
        value = string_sample(spec)
        return f"numpy.full({shape}, {value!r}, 'S{len(value)}')"
    if spec.dtype == dtypes.BFLOAT16:
        return f"numpy.full({shape}, {_BFLOAT16_ONE}, 'uint16').view('V2')"  # as numpy saves one
    return _numbers(signature, spec, shape, str(spec.dtype.numpy))


def triton_expression(signature: Signature, spec: TensorSpec) -> str:
    """An expression for a whole tensor as Triton's client takes it, which has strings as objects."""
    shape = sample_shape(signature, spec)
    if spec.dtype == dtypes.STRING:
        return f"numpy.array([{string_sample(spec)!r}] * {math.prod(shape)}, object).reshape({shape})"
    return _numbers(signature, spec, shape, "float32" if spec.dtype == dtypes.BFLOAT16 else str(spec.dtype.numpy))


def sample_features(signatures: Sequence[Signature]) -> dict[str, Any]:
    """The features of a tf.Example: a guess, as no signature holds their names.

    A model that takes examples often takes the same values as tensors too, by names that are then known.
    """
    specs = [spec for signature in signatures for spec in signature.inputs if spec.dtype != dtypes.STRING]
    return {spec.name: _FEATURE if spec.dtype in _FLOATS else 1 for spec in specs} or {"x": _FEATURE}


def is_matrix_sample(spec: TensorSpec, sizes: Sequence[int]) -> bool:
    """Whether a sample of these sizes is made of identity matrices: a model that takes square ones may want an inverse."""
    return len(sizes) > 1 and sizes[-1] == sizes[-2] > 1 and spec.dtype in (*_FLOATS, *_COMPLEX)


def has_sparse_parts(signature: Signature) -> bool:
    """Whether the inputs look like the parts of a sparse tensor. Those have no rows."""
    return any(is_sparse_index(signature, spec) for spec in signature.inputs)


def is_sparse_index(signature: Signature, spec: TensorSpec) -> bool:
    """Whether ``spec`` looks like the indices of a sparse tensor given by its parts: int64[-1,n] beside the shape, int64[n]."""
    if spec.dtype != dtypes.INT64 or spec.shape is None or len(spec.shape) != 2 or spec.shape[1] is None:
        return False
    return any(other.dtype == dtypes.INT64 and other.shape == spec.shape[1:] for other in signature.inputs)


def is_guess(signature: Signature) -> bool:
    """Whether a model may well refuse the samples."""
    return any(spec.dtype == dtypes.STRING for spec in signature.inputs)


def is_printable(signature: Signature) -> bool:
    """Whether a sample of each input is small enough to be read."""
    return all(math.prod(sample_shape(signature, spec)) <= _MAX_ELEMENTS for spec in signature.inputs)


def _sample(signature: Signature, spec: TensorSpec, sizes: tuple[int, ...]) -> Array:
    """An array of Python objects, or of identity matrices."""
    if is_matrix_sample(spec, sizes):
        return np.broadcast_to(np.eye(sizes[-1]), sizes)
    return np.full(sizes, 0 if is_sparse_index(signature, spec) else _element(spec), dtype=object)


def _numbers(signature: Signature, spec: TensorSpec, shape: tuple[int, ...], dtype: str) -> str:
    if is_matrix_sample(spec, shape):
        return f"numpy.zeros({shape}, {dtype!r}) + numpy.eye({shape[-1]}, dtype={dtype!r})"
    return f"numpy.{'zeros' if is_sparse_index(signature, spec) else 'ones'}({shape}, {dtype!r})"


def _element(spec: TensorSpec) -> Any:
    if spec.dtype == dtypes.STRING:
        return {b64.KEY: _PNG} if _IMAGE_NAME.search(spec.name) else "text"
    if spec.dtype == dtypes.BOOL:
        return True
    return 1.0 if spec.dtype in _FLOATS else 1
