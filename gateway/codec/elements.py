"""The elements of a tensor: which JSON scalars each dtype takes in each dialect, and how a flat list of them becomes an array.

The compatible dialect takes what TensorFlow Serving takes (``AddValueToTensor`` in ``util/json_tensor.cc``): integers of 8 and
16 bits are checked as int32 and wrap, floats round and may overflow to infinity, and half, bfloat16, uint16 and complex have
no conversion. The strict one takes only what the dtype can hold. In both, true, null and "1" are not numbers and 1.0 is not an
integer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.codec.b64 import bytes_of_json_string
from gateway.inference import dtypes
from gateway.inference.dtypes import DType

Array: TypeAlias = npt.NDArray[Any]

_NO_COMPATIBLE_FORM: Final = (dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16)
_NO_FORM: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)
# The first doubles that round to infinity. NumPy casts to bfloat16 by way of float32, whose rounding comes first.
LIMITS: Final = {
    dtypes.HALF: 65520.0,
    dtypes.BFLOAT16: 2.0**128 - 2.0**119 - 2.0**103,
    dtypes.FLOAT: 2.0**128 - 2.0**103,
    dtypes.DOUBLE: float("inf"),
}
_CHECKED_AS_INT32: Final = (dtypes.INT8, dtypes.INT16, dtypes.INT32, dtypes.UINT8)
_BY_NUMPY: Final = {dtype.numpy: dtype for dtype in dtypes.DTYPES}


@dataclass(frozen=True, slots=True)
class Element:
    """What one element of a tensor may be.

    ``types`` are the Python types that JSON is decoded to (none: there is no conversion). ``low`` and ``high`` bound an
    integer; the absolute value of a float must be below ``limit``. ``noun`` names one element to a person, ``plural`` several.
    """

    dtype: DType
    types: frozenset[type]
    noun: str
    plural: str
    low: int = 0
    high: int = 0
    limit: float | None = None

    @property
    def is_supported(self) -> bool:
        """Whether there is any JSON for this dtype."""
        return bool(self.types)

    def expectation(self, value: Any) -> str:
        """What was expected instead of ``value``, with the bounds if only those are missed."""
        if type(value) not in self.types:
            return self.noun
        if self.types == _INTEGER_TYPES:
            return f"{self.noun} ({self.low} to {self.high})"
        return 'string or {"b64": base64 text}' if self.types == _STRING_TYPES else f"finite {self.noun}"


_FLOAT_TYPES: Final = frozenset({int, float})
_INTEGER_TYPES: Final = frozenset({int})
_BOOL_TYPES: Final = frozenset({bool})
_STRING_TYPES: Final = frozenset({str, dict})


@cache
def element(dtype: DType, strict: bool) -> Element:
    """The elements that ``dtype`` takes in the strict or in the compatible dialect."""
    if dtype.numpy is None or dtype in _NO_FORM or (dtype in _NO_COMPATIBLE_FORM and not strict):
        return Element(dtype, frozenset(), f"{dtype.name}, which has no JSON form here", f"{dtype.name} elements")
    if dtype == dtypes.STRING:
        return Element(dtype, _STRING_TYPES, "string", "strings")
    if dtype == dtypes.BOOL:
        return Element(dtype, _BOOL_TYPES, "true or false", "true or false")
    if dtype.numpy.kind in "iu":
        bounds = np.iinfo(np.int32 if dtype in _CHECKED_AS_INT32 and not strict else dtype.numpy)
        return Element(dtype, _INTEGER_TYPES, dtype.name, "integers", int(bounds.min), int(bounds.max))
    return Element(dtype, _FLOAT_TYPES, f"{dtype.numpy.name} number", "numbers", limit=LIMITS[dtype] if strict else None)


def dtype_of(array: Array) -> DType:
    """The dtype of a tensor."""
    return _BY_NUMPY[array.dtype]


def encode_elements(items: list[Any], kind: Element) -> Array | None:
    """``items`` as an array of one dimension, or None if any of them is no element of ``kind``."""
    if not kind.types.issuperset(map(type, items)):
        return None
    if kind.types == _FLOAT_TYPES:
        # By way of double, as upstream: an integer beyond 2**53 is rounded twice there too.
        return _rounded(np.array(items, dtype=np.float64), kind)
    if kind.types == _INTEGER_TYPES:
        return _integers(items, kind)
    if kind.types == _STRING_TYPES:
        return _strings(items)
    return np.array(items, dtype=kind.dtype.numpy)


def convert_numbers(values: Array, kind: Element) -> Array | None:
    """As ``encode_elements``, of numbers that are an array already: int64 or uint64 if all are integers, otherwise float64."""
    if kind.types == _INTEGER_TYPES:
        return _bounded(values, kind) if values.dtype.kind in "iu" else None
    return _rounded(values.astype(np.float64, copy=False), kind) if kind.types == _FLOAT_TYPES else None


def misfit_elements(items: Sequence[Any], kind: Element) -> Iterator[int]:
    """The indices of the items that are no elements of ``kind``. It is slow, and explains why ``encode_elements`` gave None."""
    return (index for index, item in enumerate(items) if not fits_element(item, kind))


def fits_element(item: Any, kind: Element) -> bool:
    """Whether ``item`` is an element of ``kind``."""
    if type(item) not in kind.types:
        return False
    if kind.types == _INTEGER_TYPES:
        return bool(kind.low <= item <= kind.high)
    if kind.limit is not None:
        return bool(-kind.limit < item < kind.limit)
    return not isinstance(item, dict) or _strings([item]) is not None


def _integers(items: list[Any], kind: Element) -> Array | None:
    wide = np.uint64 if kind.high > np.iinfo(np.int64).max else np.int64
    try:
        return _bounded(np.array(items, dtype=wide), kind)
    except OverflowError:
        return None


def _bounded(values: Array, kind: Element) -> Array | None:
    if values.size and (values.min() < kind.low or values.max() > kind.high):
        return None
    return values.astype(kind.dtype.numpy, copy=False)


def _rounded(values: Array, kind: Element) -> Array | None:
    """Doubles as ``kind``; NaN is within no bounds."""
    if kind.limit is not None and values.size and not (values.min() > -kind.limit and values.max() < kind.limit):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(kind.dtype.numpy, copy=False)


def _strings(items: list[Any]) -> Array | None:
    values = np.empty(len(items), dtype=object)
    try:
        values[:] = [bytes_of_json_string(item) for item in items]
    except ValueError:
        return None
    return values
