"""A value for each tensor of a signature, for examples: always the same ones, and as likely to be understood as can be.

A signature tells dtype and shape. What a string must hold, such as an image or a serialized message, it does not tell, so that
there a sample is a guess.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from gateway.api import b64
from gateway.api.json_schema import Dims
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import Signature, TensorSpec

MAX_ELEMENTS: Final = 1024
"""A tensor with more elements is too large to be printed as an example."""

_FREE: Final = 1
_FEATURE: Final = 1.5  # not 1.0: a browser writes that as 1, and an integer is another kind of feature
_UNKNOWN_RANK: Final = (1,)
_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
_IMAGE_NAME: Final = re.compile(r"image|img|picture|photo|png|jpe?g|gif", re.IGNORECASE)


def shape(dims: Dims | None) -> tuple[int, ...]:
    """The sizes of a sample: 1 where ``dims`` are free, and one dimension where their number is unknown."""
    return _UNKNOWN_RANK if dims is None else tuple(_FREE if size is None else size for size in dims)


def nested(spec: TensorSpec, dims: Dims | None) -> Any:
    """A tensor of ``spec`` as JSON lists nested by ``dims``; one element where there are none."""
    value = _element(spec)
    for size in reversed(shape(dims)):
        value = [value] * size
    return value


def flat(spec: TensorSpec) -> list[Any]:
    """The elements of a whole tensor of ``spec``, in row-major order."""
    return [_element(spec)] * math.prod(shape(spec.shape))


def first(spec: TensorSpec) -> bytes:
    """An element of a string tensor, as bytes."""
    value = _element(spec)
    return value.encode() if isinstance(value, str) else b64.decode(value[b64.KEY])


def is_guess(signature: Signature) -> bool:
    """Whether a model may well refuse the samples."""
    return any(spec.dtype == dtypes.STRING for spec in signature.inputs)


def is_printable(signature: Signature) -> bool:
    """Whether a sample of each input is small enough to be read."""
    return all(math.prod(shape(spec.shape)) <= MAX_ELEMENTS for spec in signature.inputs)


def features(signatures: Sequence[Signature]) -> dict[str, Any]:
    """The features of a tf.Example: a guess, as no signature holds their names.

    A model that takes examples often takes the same values as tensors too, by names that are then known.
    """
    specs = [spec for signature in signatures for spec in signature.inputs if spec.dtype != dtypes.STRING]
    return {spec.name: _FEATURE if _is_float(spec.dtype) else 1 for spec in specs} or {"x": _FEATURE}


def _element(spec: TensorSpec) -> Any:
    if spec.dtype == dtypes.STRING:
        return {b64.KEY: _PNG} if _IMAGE_NAME.search(spec.name) else "text"
    if spec.dtype == dtypes.BOOL:
        return True
    return 1.0 if _is_float(spec.dtype) else 1


def _is_float(dtype: DType) -> bool:
    return dtype in (dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16)
