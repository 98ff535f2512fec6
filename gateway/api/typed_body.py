"""Decoders made from a signature: the bytes of a small body -> tensors in one step, which checks names, types and shapes.

msgspec does the work. It takes the last of two equal names where the dialects take the first: a body is accepted only with no
more quotation marks than its names and strings need, which leaves none for a repeated or unknown name.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypedDict

import msgspec

from gateway.api.schemas import DATA_KEY, SIGNATURE_KEY, PredictBody
from gateway.api.tensor_field import example_dims
from gateway.api.tfserving import columns as columnar
from gateway.api.tfserving import rows as row
from gateway.codec import b64, typed
from gateway.codec.elements import Array, element
from gateway.codec.typed import Value
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

Tensors: TypeAlias = dict[str, Array]

_MAX_INPUTS: Final = 64
_MAX_SIGNATURES: Final = 256  # that a process keeps decoders for
_NAME: Final = 2  # the quotation marks of a name
_REFUSALS: Final = (msgspec.MsgspecError, ValueError, OverflowError, KeyError)


@lru_cache(maxsize=_MAX_SIGNATURES)
def predict(signature: Signature) -> Callable[[bytes], PredictBody | None]:
    """What decodes a :predict body in either format, for a body that is for the default signature.

    It gives None for whatever it does not know, such as a tensor that has not the declared shape.
    """
    values = _values(signature, strict=False)
    # An object with the one member b64 is a value, whatever the inputs are called.
    if not values or values.keys() == {b64.KEY}:
        return _nothing
    forms: list[Callable[[bytes], PredictBody]] = [_Named(values)]
    if len(values) == 1:
        forms.insert(0, _Plain(*next(iter(values.items()))))

    def decode(body: bytes) -> PredictBody | None:
        for form in forms:
            try:
                return form(body)
            except _REFUSALS:
                continue
        return None

    return decode


@lru_cache(maxsize=_MAX_SIGNATURES)
def simple(signature: Signature) -> Callable[[bytes], Tensors | None]:
    """As ``predict``, for ``/predict`` bodies: one example, without a batch dimension that is free."""
    values = _values(signature, strict=True)
    if not values:
        return _nothing
    form = _Example(signature, values)

    def decode(body: bytes) -> Tensors | None:
        try:
            return form(body)
        except _REFUSALS:
            return None

    return decode


def _nothing(_: bytes) -> None:
    return None


def _values(signature: Signature, *, strict: bool) -> dict[str, Value]:
    """The inputs by name, as they stand in a body; none if one of them is not what typed decoders are for."""
    values: dict[str, Value] = {}
    for spec in signature.inputs:
        dims, kind = example_dims(spec) if strict else spec.shape, element(spec.dtype, strict)
        if dims is None or len(dims) > typed.MAX_RANK or not kind.is_supported or len(values) == _MAX_INPUTS:
            return {}
        values[spec.name] = Value(kind, dims)
    return values


def _decoder(members: Mapping[str, Any]) -> "msgspec.json.Decoder[dict[str, Any]]":
    return msgspec.json.Decoder(_object(members))


def _object(members: Mapping[str, Any]) -> Any:
    """The type of an object with any of ``members``; msgspec passes over others."""
    return TypedDict("_Object", members, total=False)  # type: ignore[operator]  # members known only now


def _envelope(document: dict[str, Any]) -> tuple[str, Any, int]:
    """The format of a :predict body for the default signature, its value, and the quotation marks that are not the value's."""
    named = document.pop(SIGNATURE_KEY, None)
    if named and named != DEFAULT_SIGNATURE:
        raise ValueError("another signature")
    ((key, value),) = document.items()
    return key, value, _NAME if named is None else 3 * _NAME


def _check_quotes(body: bytes, needed: int) -> None:
    if body.count(b'"') != needed:
        raise ValueError("a repeated or an unknown name, or a quotation mark within a string")


class _Plain:
    """The only input, as the value of 'instances' or of 'inputs' itself."""

    def __init__(self, name: str, value: Value) -> None:
        self._name, self._value = name, value
        rows = {row.KEY: value.with_free_batch.type} if value.dims else {}
        self._decoder = _decoder({SIGNATURE_KEY: str, columnar.KEY: value.type} | rows)

    def __call__(self, body: bytes) -> PredictBody:
        key, given, envelope = _envelope(self._decoder.decode(body))
        array, quotes = self._value.array(given)
        _check_quotes(body, envelope + quotes)
        if key == row.KEY and not given:
            raise ValueError("no instances")
        return PredictBody(row=key == row.KEY, tensors={self._name: array})


class _Named:
    """Objects of inputs: a list of them, or one of whole tensors."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        members = {SIGNATURE_KEY: str, columnar.KEY: _object({name: value.type for name, value in values.items()})}
        if all(value.dims for value in values.values()):
            members[row.KEY] = list[_object({name: value.row.type for name, value in values.items()})]  # type: ignore[misc]
        self._decoder = _decoder(members)

    def __call__(self, body: bytes) -> PredictBody:
        key, given, envelope = _envelope(self._decoder.decode(body))
        names = _NAME * len(self._values)
        if key == columnar.KEY:
            return PredictBody(row=False, tensors=self._tensors(body, given, envelope + names))
        if not given:
            raise ValueError("no instances")
        columns = {name: [instance[name] for instance in given] for name in self._values}
        return PredictBody(row=True, tensors=self._tensors(body, columns, envelope + names * len(given)))

    def _tensors(self, body: bytes, given: Mapping[str, Any], needed: int) -> Tensors:
        tensors = {}
        for name, value in self._values.items():
            tensors[name], quotes = value.array(given[name])
            needed += quotes
        _check_quotes(body, needed)
        return tensors


class _Example:
    """An object of the inputs of one example, of which one alone may be called ``data``."""

    def __init__(self, signature: Signature, values: Mapping[str, Value]) -> None:
        self._inputs = [(spec, values[spec.name]) for spec in signature.inputs]
        members = {name: value.type for name, value in values.items()}
        self._only = next(iter(values)) if len(values) == 1 and "" not in values else None
        if self._only is not None:
            members = {DATA_KEY: members[self._only]} | members
        self._decoder = _decoder(members)

    def __call__(self, body: bytes) -> Tensors:
        given = self._decoder.decode(body)
        needed = _NAME * len(given)
        if self._only is not None:
            (value,) = given.values()
            given = {self._only: value}
        tensors = {}
        for spec, expected in self._inputs:
            if spec.has_default and spec.name not in given:
                continue
            array, quotes = expected.array(given[spec.name])
            tensors[spec.name] = array[None] if spec.has_free_batch else array
            needed += quotes
        _check_quotes(body, needed)
        return tensors
