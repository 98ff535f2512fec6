"""Typed decoders of small JSON bodies: the type that msgspec decodes each input to, and the tensor that this becomes.

msgspec takes the last of two equal names where the dialects take the first. So a body is accepted only if it has no more
quotation marks than its names and strings need: then no name is repeated or unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Final, TypedDict, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from gateway.codec.elements import LIMITS, Array, Element
from gateway.codec.nested_lists import Dims
from gateway.inference import dtypes

Loaded = TypeVar("Loaded")

NAME_QUOTES: Final = 2
"""The quotation marks of a name."""
_REFUSALS: Final = (msgspec.MsgspecError, ValueError, OverflowError, KeyError)  # of a body that a form does not accept

_MAX_RANK: Final = 8
_MAX_INPUTS: Final = 64

_INT64: Final = np.iinfo(np.int64)
# Rounded by way of double here as everywhere: numpy would do it otherwise.
_BY_WAY_OF_DOUBLE: Final = (dtypes.HALF, dtypes.BFLOAT16)


class Base64(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A b64 object, decoded."""

    b64: bytes


@dataclass(frozen=True)
class TypedValue:
    """A tensor of ``kind`` elements, in lists nested to ``dims``."""

    kind: Element
    dims: Dims

    @property
    def row(self) -> "TypedValue":
        """One of the rows along dimension 0."""
        return replace(self, dims=self.dims[1:])

    @property
    def with_free_batch(self) -> "TypedValue":
        """The same with any number of rows."""
        return replace(self, dims=(None, *self.dims[1:]))

    @property
    def type(self) -> Any:
        """The type that msgspec decodes it to: lists of the lengths that are fixed, elements within their bounds."""
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

    @cached_property
    def _first_dtype(self) -> "np.dtype[Any]":
        """The dtype of decoded elements: the tensor's own, unless they are rounded twice, or wrap."""
        dtype = np.dtype(self.kind.dtype.numpy)
        if self.kind.dtype in _BY_WAY_OF_DOUBLE:
            return np.dtype(np.float64)
        wraps = dtype.kind in "iu" and self.kind.high > np.iinfo(dtype).max
        return np.dtype(np.int64) if wraps else dtype


def typed_values(inputs: Sequence[tuple[str, Element, Dims | None]]) -> dict[str, TypedValue]:
    """The inputs by name, as they stand in a body; empty if typed decoders cannot take one of them."""
    if len(inputs) > _MAX_INPUTS:
        return {}
    found: dict[str, TypedValue] = {}
    for name, kind, dims in inputs:
        if dims is None or len(dims) > _MAX_RANK or not kind.is_supported:
            return {}
        found[name] = TypedValue(kind, dims)
    return found


def typed_decoder(members: Mapping[str, Any]) -> "msgspec.json.Decoder[dict[str, Any]]":
    """A decoder of objects with any of ``members`` (types by name)."""
    return msgspec.json.Decoder(typed_object(members))


def typed_object(members: Mapping[str, Any]) -> Any:
    """The type of an object with any of ``members``; msgspec skips others."""
    return TypedDict("_Object", members, total=False)  # type: ignore[operator]  # members known only now


def check_typed_body(body: bytes, needed: int) -> None:
    """Raise ValueError unless a typed decoder read all of ``body``, which shows in the number of its quotation marks."""
    if body.count(b'"') != needed:
        raise ValueError("a repeated or an unknown name, or a quotation mark within a string")


def first_typed_form(forms: Sequence[Callable[[bytes], Loaded]]) -> Callable[[bytes], Loaded | None]:
    """A function that decodes a body with the first of ``forms`` that accepts it, and gives None if none does."""

    def decode(body: bytes) -> Loaded | None:
        for form in forms:
            try:
                return form(body)
            except _REFUSALS:
                continue
        return None

    return decode


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
        # A number that overflows is left to the schema, even if the schema takes it.
        limit = LIMITS[kind.dtype]
        return Annotated[float, Meta(gt=-limit, lt=limit)] if np.isfinite(limit) else float
    # msgspec's bounds are int64; integers beyond 64 bits are refused by numpy.
    low = kind.low if kind.low > _INT64.min else None
    high = kind.high if kind.high < _INT64.max else None
    return Annotated[int, Meta(ge=low, le=high)]
