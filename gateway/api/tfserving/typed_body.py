"""Decoders made from a signature: the bytes of a small :predict body -> tensors in one step.

They check names, types and shapes. What they accept, the module ``body`` accepts too, as the same tensors.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gateway.api.json_body import MOST_KNOWN
from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.body import SIGNATURE_KEY, PredictBody
from gateway.codec import b64, typed
from gateway.codec.elements import element
from gateway.codec.typed import NAME_QUOTES, TypedValue, first_typed_form, typed_decoder, typed_object, typed_values
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature


@lru_cache(maxsize=MOST_KNOWN)
def predict_body_decoder(signature: Signature) -> Callable[[bytes], PredictBody | None]:
    """What decodes a :predict body in either format, for a body that is for the default signature.

    The decoder gives None for whatever it does not know, such as a tensor that does not have the declared shape.
    """
    values = typed_values([(spec.name, element(spec.dtype, strict=False), spec.shape) for spec in signature.inputs])
    # An object with the one member b64 is a value, whatever the inputs are called.
    if not values or values.keys() == {b64.KEY}:
        return first_typed_form(())
    plain = [_plain(*only) for only in values.items()] if len(values) == 1 else []
    return first_typed_form([*plain, _named(values)])


def _envelope(document: dict[str, Any]) -> tuple[str, Any, int]:
    """The format of a :predict body for the default signature, its value, and the quotation marks that are not the value's."""
    named = document.pop(SIGNATURE_KEY, None)
    if named and named != DEFAULT_SIGNATURE:
        raise ValueError("another signature")
    ((key, value),) = document.items()
    return key, value, NAME_QUOTES if named is None else 3 * NAME_QUOTES


def _plain(name: str, value: TypedValue) -> Callable[[bytes], PredictBody]:
    """What decodes the only input, as the value of 'instances' or of 'inputs' itself."""
    in_rows = {rows.KEY: value.with_free_batch.type} if value.dims else {}
    decoder = typed_decoder({SIGNATURE_KEY: str, columns.KEY: value.type} | in_rows)

    def decode(body: bytes) -> PredictBody:
        key, given, envelope = _envelope(decoder.decode(body))
        array, quotes = value.array(given)
        typed.check_typed_body(body, envelope + quotes)
        if key == rows.KEY and not given:
            raise ValueError("no instances")
        return PredictBody(row=key == rows.KEY, tensors={name: array})

    return decode


def _named(values: Mapping[str, TypedValue]) -> Callable[[bytes], PredictBody]:
    """What decodes objects of inputs: a list of them, or one of whole tensors."""
    members = {SIGNATURE_KEY: str, columns.KEY: typed_object({name: value.type for name, value in values.items()})}
    if all(value.dims for value in values.values()):
        members[rows.KEY] = list[typed_object({name: value.row.type for name, value in values.items()})]  # type: ignore[misc]
    decoder = typed_decoder(members)

    def decode(body: bytes) -> PredictBody:
        key, given, needed = _envelope(decoder.decode(body))
        is_row = key == rows.KEY
        if is_row and not given:
            raise ValueError("no instances")
        needed += NAME_QUOTES * len(values) * (len(given) if is_row else 1)
        tensors = {}
        for name, value in values.items():
            tensors[name], quotes = value.array([instance[name] for instance in given] if is_row else given[name])
            needed += quotes
        typed.check_typed_body(body, needed)
        return PredictBody(is_row, tensors)

    return decode
