"""The schemas of the bodies of TensorFlow Serving's :classify and :regress, with examples, and of the answers."""

from collections.abc import Sequence
from typing import Final

from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.samples import bodies
from gateway.api.samples.model import DocumentedModel
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature

_GUESS: Final = "A guess: no signature says which features its examples have."
_VALUE: Final = {"anyOf": [{"type": ["string", "number", "boolean"]}, record({"b64": TEXT})]}
_EXAMPLE: Final = {
    "type": "object",
    "description": "A tf.Example: features by name, each one value or a list of one type. 1.0 is a float, 1 an integer.",
    "additionalProperties": {"anyOf": [_VALUE, array(_VALUE)]},
}
_NUMBER: Final = {"type": ["number", "null"]}
_PAIR: Final = array({"type": ["string", "number", "null"]}) | {"minItems": 2, "maxItems": 2}
_RESULTS: Final = {
    "classify": array(array(_PAIR)) | {"description": "For each example its [label, score] pairs"},
    "regress": array(_NUMBER) | {"description": "A value for each example"},
}


def request(signatures: Sequence[Signature]) -> Json:
    """The body for one of these signatures, or if there are none for any signature."""
    names = [signature.name for signature in signatures]
    properties: dict[str, Json] = {
        "signature_name": TEXT | ({"enum": names} if names else {}),
        "context": _EXAMPLE,
        "examples": {"type": "array", "items": _EXAMPLE, "minItems": 1},
    }
    optional = ("context", *(["signature_name"] if DEFAULT_SIGNATURE in names or not names else []))
    return record(properties, optional)


def answer(verb: str) -> Json:
    """What ``verb`` answers."""
    return record({"results": _RESULTS[verb]})


def examples(model: DocumentedModel, signatures: Sequence[Signature]) -> Json:
    """The examples of a body, by signature."""
    return {
        signature.name: {"summary": signature.name, "description": _GUESS, "value": bodies.examples(model, signature)}
        for signature in signatures
    }
