"""The bodies of TensorFlow Serving's :classify and :regress: their schemas, examples, and the schemas of the answers."""

from collections.abc import Sequence
from typing import Any, Final

from gateway.api.docs import samples
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.model import DocumentedModel
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
        signature.name: {"summary": signature.name, "description": _GUESS, "value": sample(model, signature)}
        for signature in signatures
    }


def sample(model: DocumentedModel, signature: Signature) -> dict[str, Any]:
    """A body with one example, whose features are a guess."""
    features = samples.features([model.default] if model.default else model.signatures)
    name = {} if signature.name == DEFAULT_SIGNATURE else {"signature_name": signature.name}
    return name | {"examples": [features]}
