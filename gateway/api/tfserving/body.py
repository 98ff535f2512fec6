"""Decoded bodies of :predict -> tensors, or every reason why there are none.

The order of checks and the texts are those of ``FillPredictRequestFromJson`` in ``util/json_tensor.cc``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.api.tfserving import columns, rows
from gateway.api.tfserving.wording import document_refusal
from gateway.codec.elements import Array
from gateway.codec.problems import cut_text
from gateway.errors import GatewayError, InvalidArgument
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, Tensors
from gateway.inference.suggestions import refuse_composite

SIGNATURE_KEY: Final = "signature_name"
_NAME_LENGTH: Final = 500  # of a signature, in messages and logs; what is longer is no signature's name


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A :predict body: its tensors by input name, and whether they came in row format, which the answer then has too."""

    row: bool
    tensors: dict[str, Array]


class PredictDocument:
    """One body, and what ``load`` made of it last: the answer and a refusal depend on that. Not thread-safe.

    ``signature`` is the one that tensors were last asked for, and ``body`` what was made for it; None: nothing yet.
    """

    def __init__(self, load: Callable[[Signature], PredictBody]) -> None:
        self._load = load
        self.signature: Signature | None = None
        self.body: PredictBody | None = None

    def build(self, signature: Signature) -> Tensors:
        """The tensors for ``signature``. Raises what ``load`` raises, and Unimplemented for one with composite tensors."""
        refuse_composite(signature)
        self.signature, self.body = signature, None
        self.body = self._load(signature)
        return self.body.tensors

    @property
    def is_row(self) -> bool:
        """Whether the body came in row format."""
        return self.body is not None and self.body.row


def names_signature(document: Any) -> bool:
    """Whether ``signature_name`` has a name for ``document``."""
    return isinstance(document, dict) and isinstance(document.get(SIGNATURE_KEY, ""), str)


def signature_name(document: Any) -> str:
    """The signature that a TensorFlow Serving body asks for; the default one where it names none. Raises InvalidArgument."""
    if names_signature(document):
        return cut_text(document.get(SIGNATURE_KEY, ""), _NAME_LENGTH) or DEFAULT_SIGNATURE
    if isinstance(document, dict):
        raise document_refusal(document, f"not formatted correctly. '{SIGNATURE_KEY}' key must be a string value.")
    raise document_refusal(document, "Is not object")


def accept_predict_body(document: Any, signature: Signature) -> PredictBody | None:
    """The tensors of a :predict body, which may hold NumberBlocks; None if it is refused.

    Declared shapes are not checked, other keys are ignored, and a signature's default values are not used, as upstream does.
    """
    if not names_signature(document) or not signature.inputs or (rows.KEY in document) == (columns.KEY in document):
        return None
    is_row = rows.KEY in document
    if is_row:
        tensors = rows.row_tensors(document[rows.KEY], signature)
    else:
        tensors = columns.column_tensors(document[columns.KEY], signature)
    return None if tensors is None else PredictBody(is_row, tensors)


def load_predict_body(document: Any, signature: Signature) -> PredictBody:
    """As ``accept_predict_body``, for a document without NumberBlocks.

    Raises InvalidArgument, whose message begins with upstream's text and which lists every problem; or, in the columnar format,
    Unimplemented for a dtype that has no JSON form.
    """
    accepted = accept_predict_body(document, signature)
    if accepted is None:
        raise _refusal(document, signature)
    return accepted


def _refusal(document: Any, signature: Signature) -> GatewayError:
    name = signature_name(document)
    if not signature.inputs:
        return InvalidArgument(f"Failed to get input map for signature: {name if document.get(SIGNATURE_KEY) else 'DEFAULT'}")
    if rows.KEY not in document:
        if columns.KEY not in document:
            return InvalidArgument(f"Missing '{columns.KEY}' or '{rows.KEY}' key")
        return columns.column_refusal(document[columns.KEY], signature.inputs)
    if columns.KEY in document:
        keys = f"'{columns.KEY}' or '{rows.KEY}' keys to exist "
        return document_refusal(document, f"Not formatted correctly expecting only one of {keys}")
    instances = document[rows.KEY]
    if not isinstance(instances, list) or not instances:
        expected = f"No values in '{rows.KEY}' array" if instances == [] else f"Expecting '{rows.KEY}' to be an list/array"
        return document_refusal(document, expected)
    return rows.row_refusal(instances, signature.inputs)
