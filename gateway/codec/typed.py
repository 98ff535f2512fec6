"""The value of one input as a small body has it: the type that msgspec decodes it to, and the tensor that this becomes."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from gateway.codec.elements import LIMITS, Array, Element
from gateway.codec.nested_lists import Dims
from gateway.inference import dtypes

MAX_RANK: Final = 8

_INT64: Final = np.iinfo(np.int64)
# Rounded by way of double here as everywhere: numpy would do it otherwise.
_BY_WAY_OF_DOUBLE: Final = (dtypes.HALF, dtypes.BFLOAT16)


class Base64(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A b64 object, decoded."""

    b64: bytes


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of ``kind`` elements, in lists nested to ``dims``."""

    kind: Element
    dims: Dims
    _first_dtype: "np.dtype[Any]" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first_dtype", _first_dtype(self.kind))

    @property
    def row(self) -> "Value":
        """One of the rows along dimension 0."""
        return replace(self, dims=self.dims[1:])

    @property
    def with_free_batch(self) -> "Value":
        """The same with any number of rows."""
        return replace(self, dims=(None, *self.dims[1:]))

    @property
    def type(self) -> Any:
        """What msgspec decodes it to: lists of the lengths that are fixed, elements within their bounds."""
        nested = _element_type(self.kind)
        for size in reversed(self.dims):
            nested = list[nested]  # type: ignore[valid-type]
            if size is not None:
                nested = Annotated[nested, Meta(min_length=size, max_length=size)]
        return nested

    def array(self, decoded: Any) -> tuple[Array, int]:
        """The tensor of what was decoded, and how many quotation marks its strings took at least.

        Raises ValueError or OverflowError for uneven lists and for integers beyond 64 bits.
        """
        array = np.array(decoded, dtype=self._first_dtype)
        if array.ndim != len(self.dims):
            raise ValueError("the lists are uneven, or empty before the last dimension")
        if self.kind.dtype == dtypes.STRING:
            return _bytes(array)
        return array.astype(self.kind.dtype.numpy, copy=False), 0


def _bytes(strings: Array) -> tuple[Array, int]:
    items = strings.ravel().tolist()
    flat = np.empty(len(items), dtype=object)
    flat[:] = [item.b64 if isinstance(item, Base64) else item.encode() for item in items]
    return flat.reshape(strings.shape), sum(4 if isinstance(item, Base64) else 2 for item in items)


def _element_type(kind: Element) -> Any:
    if kind.dtype == dtypes.STRING:
        return str | Base64
    if kind.dtype == dtypes.BOOL:
        return bool
    if kind.dtype in LIMITS:
        # What overflows is for the schema, also where it takes that.
        limit = LIMITS[kind.dtype]
        return Annotated[float, Meta(gt=-limit, lt=limit)] if np.isfinite(limit) else float
    # msgspec's bounds are int64; integers beyond 64 bits are refused by numpy.
    low = kind.low if kind.low > _INT64.min else None
    high = kind.high if kind.high < _INT64.max else None
    return Annotated[int, Meta(ge=low, le=high)]


def _first_dtype(kind: Element) -> "np.dtype[Any]":
    """What decoded elements are at first: the dtype itself, unless they are to be rounded twice, or wrap."""
    dtype = np.dtype(kind.dtype.numpy)
    if kind.dtype in _BY_WAY_OF_DOUBLE:
        return np.dtype(np.float64)
    wraps = dtype.kind in "iu" and kind.high > np.iinfo(dtype).max
    return np.dtype(np.int64) if wraps else dtype
