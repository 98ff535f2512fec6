"""Decoded bodies of :predict -> tensors: the truth about what the dialect accepts.

The order of checks and the texts are those of ``FillPredictRequestFromJson`` in ``util/json_tensor.cc``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.api.tfserving import columns, rows
from gateway.codec.elements import Array
from gateway.codec.json_text import dump
from gateway.codec.problems import cut
from gateway.errors import InvalidArgument
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

SIGNATURE_KEY: Final = "signature_name"
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


def load(document: Any, signature: Signature) -> PredictBody:
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
