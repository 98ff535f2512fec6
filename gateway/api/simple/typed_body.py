"""Decoders made from a signature: the bytes of a small /predict body -> tensors in one step.

They check names, types and shapes, and give None for whatever they do not know: what they accept ``body`` accepts, as the same
tensors.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from gateway.api.simple.body import DATA_KEY
from gateway.api.tensor_field import example_dims
from gateway.codec import typed
from gateway.codec.elements import Array, element
from gateway.codec.typed import NAME_QUOTES, Value
from gateway.inference.signature import Signature

_MAX_SIGNATURES: Final = 256  # that a process keeps decoders for


@lru_cache(maxsize=_MAX_SIGNATURES)
def example_decoder(signature: Signature) -> Callable[[bytes], dict[str, Array] | None]:
    """What decodes a /predict body: one example, without a batch dimension that is free."""
    values = typed.values([(spec.name, element(spec.dtype, strict=True), example_dims(spec)) for spec in signature.inputs])
    return typed.first_of([_Example(signature, values)] if values else [])


class _Example:
    """An object of the inputs of one example, of which one alone may be called ``data``."""

    def __init__(self, signature: Signature, values: Mapping[str, Value]) -> None:
        self._inputs = [(spec, values[spec.name]) for spec in signature.inputs]
        members = {name: value.type for name, value in values.items()}
        self._only = next(iter(values)) if len(values) == 1 and "" not in values else None
        if self._only is not None:
            members = {DATA_KEY: members[self._only]} | members
        self._decoder = typed.decoder(members)

    def __call__(self, body: bytes) -> dict[str, Array]:
        given = self._decoder.decode(body)
        needed = NAME_QUOTES * len(given)
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
        typed.check_quotes(body, needed)
        return tensors
