"""A value for each tensor of a signature, for examples. The values are always the same, and a model likely takes them.

A signature tells dtype and shape. What a string must hold, such as an image or a serialized message, it does not tell, so that
there a sample is a guess.
"""

import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from gateway.codec import b64
from gateway.codec.b64 import decode_base64
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import Signature, TensorSpec

MAX_ELEMENTS: Final = 1024
"""A tensor with more elements is too large to be printed as an example."""

_FREE: Final = 1
_FEATURE: Final = 1.5  # not 1.0: a browser writes that as 1, and an integer is another kind of feature
_MAX_ROWS: Final = 16  # where only the outputs tell how many rows there must be
_COMPLEX: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)
_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
_IMAGE_NAME: Final = re.compile(r"image|img|picture|photo|png|jpe?g|gif", re.IGNORECASE)


def shape(signature: Signature, spec: TensorSpec) -> tuple[int, ...]:
    """The sizes of a whole tensor: ``rows`` for a free dimension 0 or an unknown rank, and 1 for any other free one."""
    if spec.shape is None:
        return (rows(signature),)
    sizes = tuple(_FREE if size is None else size for size in spec.shape)
    return (rows(signature), *sizes[1:]) if spec.has_free_batch else sizes


def rows(signature: Signature) -> int:
    """How many examples there are: as many as an input always has, or else all outputs (if they are few), or else 1."""
    if has_parts(signature):
        return _FREE
    fixed = {spec.shape[0] for spec in signature.inputs if spec.shape} - {None}
    answered = {spec.shape[0] if spec.shape else None for spec in signature.outputs}
    count = max(fixed or (answered if len(answered) == 1 else ()), key=lambda size: size or 0, default=None)
    return count if count and (fixed or count <= _MAX_ROWS) else _FREE


def whole(signature: Signature, spec: TensorSpec) -> Any:
    """A whole tensor as nested JSON lists; one element where it has no dimensions."""
    return _nested(signature, spec, shape(signature, spec))


def row(signature: Signature, spec: TensorSpec) -> Any:
    """One of the examples along dimension 0, as nested JSON lists."""
    return _nested(signature, spec, shape(signature, spec)[1:])


def flat(signature: Signature, spec: TensorSpec) -> list[Any]:
    """The elements of a whole tensor, in row-major order."""
    items = [whole(signature, spec)]
    for _ in shape(signature, spec):
        items = list(chain.from_iterable(items))
    return items


def is_matrix(spec: TensorSpec, sizes: Sequence[int]) -> bool:
    """Whether a sample of these sizes is made of identity matrices: a model that takes square ones may want an inverse."""
    return len(sizes) > 1 and sizes[-1] == sizes[-2] > 1 and (_is_float(spec.dtype) or spec.dtype in _COMPLEX)


def has_parts(signature: Signature) -> bool:
    """Whether the inputs look like the parts of a sparse tensor. Those have no rows."""
    return any(is_index(signature, spec) for spec in signature.inputs)


def is_index(signature: Signature, spec: TensorSpec) -> bool:
    """Whether ``spec`` looks like the indices of a sparse tensor given by its parts: int64[-1,n] beside the shape, int64[n]."""
    if spec.dtype != dtypes.INT64 or spec.shape is None or len(spec.shape) != 2 or spec.shape[1] is None:
        return False
    return any(other.dtype == dtypes.INT64 and other.shape == spec.shape[1:] for other in signature.inputs)


def first(spec: TensorSpec) -> bytes:
    """An element of a string tensor, as bytes."""
    value = _element(spec)
    return value.encode() if isinstance(value, str) else decode_base64(value[b64.KEY])


def is_guess(signature: Signature) -> bool:
    """Whether a model may well refuse the samples."""
    return any(spec.dtype == dtypes.STRING for spec in signature.inputs)


def is_printable(signature: Signature) -> bool:
    """Whether a sample of each input is small enough to be read."""
    return all(math.prod(shape(signature, spec)) <= MAX_ELEMENTS for spec in signature.inputs)


def features(signatures: Sequence[Signature]) -> dict[str, Any]:
    """The features of a tf.Example: a guess, as no signature holds their names.

    A model that takes examples often takes the same values as tensors too, by names that are then known.
    """
    specs = [spec for signature in signatures for spec in signature.inputs if spec.dtype != dtypes.STRING]
    return {spec.name: _FEATURE if _is_float(spec.dtype) else 1 for spec in specs} or {"x": _FEATURE}


def _nested(signature: Signature, spec: TensorSpec, sizes: tuple[int, ...]) -> Any:
    if is_matrix(spec, sizes):
        value: Any = [[float(column == line) for column in range(sizes[-1])] for line in range(sizes[-1])]
        sizes = sizes[:-2]
    else:
        value = 0 if is_index(signature, spec) else _element(spec)
    for size in reversed(sizes):
        value = [value] * size
    return value


def _element(spec: TensorSpec) -> Any:
    if spec.dtype == dtypes.STRING:
        return {b64.KEY: _PNG} if _IMAGE_NAME.search(spec.name) else "text"
    if spec.dtype == dtypes.BOOL:
        return True
    return 1.0 if _is_float(spec.dtype) else 1


def _is_float(dtype: DType) -> bool:
    return dtype in (dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16)
