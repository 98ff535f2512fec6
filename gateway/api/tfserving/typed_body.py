"""Decoders made from a signature: the bytes of a small :predict body -> tensors in one step.

They check names, types and shapes, and give None for whatever they do not know, such as a tensor that has not the declared
shape: what they accept ``body`` accepts, as the same tensors.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.body import SIGNATURE_KEY, PredictBody
from gateway.codec import b64, typed
from gateway.codec.elements import Array, element
from gateway.codec.typed import NAME_QUOTES, Value, first_typed_form, typed_decoder, typed_object, typed_values
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_MAX_SIGNATURES: Final = 256  # that a process keeps decoders for


@lru_cache(maxsize=_MAX_SIGNATURES)
def decoder(signature: Signature) -> Callable[[bytes], PredictBody | None]:
    """What decodes a :predict body in either format, for a body that is for the default signature.

    It gives None for whatever it does not know, such as a tensor that has not the declared shape.
    """
    values = typed_values([(spec.name, element(spec.dtype, strict=False), spec.shape) for spec in signature.inputs])
    # An object with the one member b64 is a value, whatever the inputs are called.
    if not values or values.keys() == {b64.KEY}:
        return first_typed_form(())
    plain = [_Plain(*next(iter(values.items())))] if len(values) == 1 else []
    return first_typed_form([*plain, _Named(values)])


def _envelope(document: dict[str, Any]) -> tuple[str, Any, int]:
    """The format of a :predict body for the default signature, its value, and the quotation marks that are not the value's."""
    named = document.pop(SIGNATURE_KEY, None)
    if named and named != DEFAULT_SIGNATURE:
        raise ValueError("another signature")
    ((key, value),) = document.items()
    return key, value, NAME_QUOTES if named is None else 3 * NAME_QUOTES


class _Plain:
    """The only input, as the value of 'instances' or of 'inputs' itself."""

    def __init__(self, name: str, value: Value) -> None:
        self._name, self._value = name, value
        in_rows = {rows.KEY: value.with_free_batch.type} if value.dims else {}
        self._decoder = typed_decoder({SIGNATURE_KEY: str, columns.KEY: value.type} | in_rows)

    def __call__(self, body: bytes) -> PredictBody:
        key, given, envelope = _envelope(self._decoder.decode(body))
        array, quotes = self._value.array(given)
        typed.check_quotes(body, envelope + quotes)
        if key == rows.KEY and not given:
            raise ValueError("no instances")
        return PredictBody(row=key == rows.KEY, tensors={self._name: array})


class _Named:
    """Objects of inputs: a list of them, or one of whole tensors."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        members = {SIGNATURE_KEY: str, columns.KEY: typed_object({name: value.type for name, value in values.items()})}
        if all(value.dims for value in values.values()):
            members[rows.KEY] = list[typed_object({name: value.row.type for name, value in values.items()})]  # type: ignore[misc]
        self._decoder = typed_decoder(members)

    def __call__(self, body: bytes) -> PredictBody:
        key, given, envelope = _envelope(self._decoder.decode(body))
        names = NAME_QUOTES * len(self._values)
        if key == columns.KEY:
            return PredictBody(row=False, tensors=self._tensors(body, given, envelope + names))
        if not given:
            raise ValueError("no instances")
        by_input = {name: [instance[name] for instance in given] for name in self._values}
        return PredictBody(row=True, tensors=self._tensors(body, by_input, envelope + names * len(given)))

    def _tensors(self, body: bytes, given: Mapping[str, Any], needed: int) -> dict[str, Array]:
        tensors = {}
        for name, value in self._values.items():
            tensors[name], quotes = value.array(given[name])
            needed += quotes
        typed.check_quotes(body, needed)
        return tensors
