"""Bodies of /predict -> tensors, in three ways.

A decoder made from a signature takes the bytes of small bodies in one step, ``accept_example`` recognises the common JSON, and
``load_example`` decides. What the first two accept ``load_example`` accepts, as the same tensors.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import numpy as np

from gateway.api.json_body import MOST_KNOWN, Form
from gateway.api.tensor_field import InvalidTensors, example_dims, load_tensors
from gateway.codec import typed
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import complete_tensors, lists_to_array
from gateway.codec.problems import Problems, Repeating, json_pointer
from gateway.codec.typed import NAME_QUOTES, TypedValue, first_typed_form, typed_decoder, typed_values
from gateway.errors import Unimplemented
from gateway.inference.signature import Signature, TensorSpec

DATA_KEY: Final = "data"
"""What a body may call the only input."""


@lru_cache(maxsize=MOST_KNOWN)
def example_decoder(signature: Signature) -> Callable[[bytes], dict[str, Array] | None]:
    """What decodes a /predict body: one example, without a batch dimension that is free; it gives None for any other body."""
    values = typed_values([(spec.name, element(spec.dtype, strict=True), example_dims(spec)) for spec in signature.inputs])
    return first_typed_form([_TypedDecoder(signature, values)] if values else [])


def accept_example(document: Any, signature: Signature) -> dict[str, Array] | None:
    """The tensors of a plainly good ``/predict`` body, or None. The document may hold NumberBlocks."""
    specs = {spec.name: spec for spec in signature.inputs}
    # No Repeating, which is refused.
    if type(document) is not dict or _unsupported(signature) is not None:
        return None
    if len(specs) == 1 and document.keys() == {DATA_KEY} and "" not in specs:
        document = {next(iter(specs)): document[DATA_KEY]}
    needed = {name for name, spec in specs.items() if not spec.has_default}
    if not needed <= document.keys() <= specs.keys():
        return None
    return complete_tensors(
        (spec.name, _example(document[spec.name], spec)) for spec in signature.inputs if spec.name in document
    )


def load_example(document: Any, signature: Signature) -> dict[str, Array]:
    """The tensors of a ``/predict`` body, which is one example: an object of the inputs, or ``{"data": ...}`` for the only one.

    Where an input's dimension 0 is free, it is the batch and the example is given without it; the tensor has it, with size 1.
    Inputs with a default value may be left out. A name that a ``Repeating`` tells is a problem. Raises InvalidArgument, whose
    message tells every problem in one line, or Unimplemented for an input whose dtype has no JSON form.
    """
    unsupported = _unsupported(signature)
    if unsupported is not None:
        raise Unimplemented(f"the input {unsupported.name} is {unsupported.dtype}, which has no JSON form")
    names = ", ".join(spec.name for spec in signature.inputs)
    problems = Problems()
    if not isinstance(document, dict):
        problems.add((), f"an object with {names}", document)
        raise problems.summary()
    for name in islice(document.repeated if isinstance(document, Repeating) else (), problems.room):
        problems.note((name,), "each input once", "a repeated name")
    short_for = _input_given_as_data(document, signature)
    inputs = {short_for if name == DATA_KEY else name: value for name, value in document.items()} if short_for else document
    try:
        tensors = load_tensors(signature, inputs, strict=True)
    except InvalidTensors as invalid:
        problems.extend(invalid.problems(), lambda place: _as_sent(place, short_for))
    if problems.count:
        raise problems.summary()
    return tensors


class _TypedDecoder:
    """An object of the inputs of one example, of which one alone may be called ``data``."""

    def __init__(self, signature: Signature, values: Mapping[str, TypedValue]) -> None:
        self._inputs = [(spec, values[spec.name]) for spec in signature.inputs]
        members = {name: value.type for name, value in values.items()}
        self._only = next(iter(values)) if len(values) == 1 and "" not in values else None
        if self._only is not None:
            members = {DATA_KEY: members[self._only]} | members
        self._decoder = typed_decoder(members)

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
        typed.check_typed_body(body, needed)
        return tensors


def _input_given_as_data(document: Mapping[str, Any], signature: Signature) -> str | None:
    """The name of the only input, if the body calls it ``data`` instead."""
    if len(signature.inputs) != 1 or DATA_KEY not in document:
        return None
    name = signature.inputs[0].name
    return None if name in document else name


def _as_sent(place: str, short_for: str | None) -> str:
    name = json_pointer((short_for,)) if short_for else ""
    is_renamed = bool(name) and (place == name or place.startswith(name + "/"))
    return f"/{DATA_KEY}{place.removeprefix(name)}" if is_renamed else place


def _unsupported(signature: Signature) -> TensorSpec | None:
    """The first input that has no form in JSON."""
    return next((spec for spec in signature.inputs if not element(spec.dtype, strict=True).is_supported), None)


def _example(value: Any, spec: TensorSpec) -> Array | None:
    array = lists_to_array(value, element(spec.dtype, strict=True), example_dims(spec))
    return array[np.newaxis] if array is not None and spec.has_free_batch else array


FORM: Final[Form[dict[str, Array]]] = Form(example_decoder, accept_example, load_example, strict=True)
"""How a /predict body is read."""
