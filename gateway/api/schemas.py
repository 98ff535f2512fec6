"""Decoded JSON bodies -> tensors, for the two dialects; the truth about what each accepts.

The order of checks and the texts of the compatible dialect are those of ``FillPredictRequestFromJson`` in
``util/json_tensor.cc``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from gateway.api.tensor_field import InvalidTensors, load
from gateway.api.tfserving import columns, rows
from gateway.codec.elements import Array, element
from gateway.codec.json_text import dump
from gateway.codec.problems import Problems, cut, pointer
from gateway.codec.repeating import Repeating
from gateway.errors import InvalidArgument, Unimplemented
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

SIGNATURE_KEY: Final = "signature_name"
DATA_KEY: Final = "data"
_NAME_LENGTH: Final = 500  # of a signature, in messages and logs; what is longer is no signature's name


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A :predict body: its tensors by input name, and whether they came in row format, which the answer then has too."""

    row: bool
    tensors: dict[str, Array]


def names_signature(document: Any) -> bool:
    """Whether ``signature_name`` has a name for ``document``."""
    return isinstance(document, dict) and isinstance(document.get(SIGNATURE_KEY, ""), str)


def signature_name(document: Any) -> str:
    """The signature that a TensorFlow Serving body asks for; the default one where it names none. Raises InvalidArgument."""
    if not isinstance(document, dict):
        raise _unlike(document, "Is not object")
    name = document.get(SIGNATURE_KEY, "")
    if not isinstance(name, str):
        raise _unlike(document, f"not formatted correctly. '{SIGNATURE_KEY}' key must be a string value.")
    return cut(name, _NAME_LENGTH) or DEFAULT_SIGNATURE


def load_predict(document: Any, signature: Signature) -> PredictBody:
    """The tensors of a :predict body.

    Declared shapes are not checked, other keys are ignored, and a signature's default values are not used, as upstream does.
    Raises InvalidArgument, whose message begins with upstream's text and which lists every problem, or Unimplemented.
    """
    signature_name(document)
    if not signature.inputs:
        named = signature_name(document) if document.get(SIGNATURE_KEY) else "DEFAULT"
        raise InvalidArgument(f"Failed to get input map for signature: {named}")
    if rows.KEY in document:
        return PredictBody(row=True, tensors=rows.to_tensors(_instances(document), signature))
    if columns.KEY in document:
        return PredictBody(row=False, tensors=columns.to_tensors(document[columns.KEY], signature))
    raise InvalidArgument(f"Missing '{columns.KEY}' or '{rows.KEY}' key")


def load_simple(document: Any, signature: Signature) -> dict[str, Array]:
    """The tensors of a ``/predict`` body, which is one example: an object of the inputs, or ``{"data": ...}`` for the only one.

    Where an input's dimension 0 is free, it is the batch and the example is given without it; the tensor has it, with size 1.
    Inputs with a default value may be left out. A name that a ``Repeating`` tells is a problem. Raises InvalidArgument, whose
    message tells every problem in one line, or Unimplemented for an input whose dtype has no JSON form.
    """
    _refuse_unsupported(signature)
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
        tensors = load(signature, inputs, strict=True)
    except InvalidTensors as invalid:
        problems.extend(invalid.problems(), lambda place: _as_sent(place, short_for))
    if problems.count:
        raise problems.summary()
    return tensors


def _input_given_as_data(document: Mapping[str, Any], signature: Signature) -> str | None:
    """The name of the only input, if the body calls it ``data`` instead."""
    if len(signature.inputs) != 1 or DATA_KEY not in document:
        return None
    name = signature.inputs[0].name
    return None if name in document else name


def _as_sent(place: str, short_for: str | None) -> str:
    name = pointer((short_for,)) if short_for else ""
    is_renamed = bool(name) and (place == name or place.startswith(name + "/"))
    return f"/{DATA_KEY}{place.removeprefix(name)}" if is_renamed else place


def _refuse_unsupported(signature: Signature) -> None:
    for spec in signature.inputs:
        if not element(spec.dtype, strict=True).is_supported:
            raise Unimplemented(f"the input {spec.name} is {spec.dtype}, which has no JSON form")


def _instances(document: Mapping[str, Any]) -> list[Any]:
    if columns.KEY in document:
        keys = f"'{columns.KEY}' or '{rows.KEY}' keys to exist "
        raise _unlike(document, f"Not formatted correctly expecting only one of {keys}")
    instances = document[rows.KEY]
    if not isinstance(instances, list):
        raise _unlike(document, f"Expecting '{rows.KEY}' to be an list/array")
    if not instances:
        raise _unlike(document, f"No values in '{rows.KEY}' array")
    return instances


def _unlike(document: Any, text: str) -> InvalidArgument:
    return InvalidArgument(f"JSON Value: {dump(document)} {text}")
