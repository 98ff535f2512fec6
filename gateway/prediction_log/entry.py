"""What waits in memory to be written: rows with small tensors encoded, and large tensors as they are.

Small tensors are encoded in the request, so that no array is kept. Large ones are only copied there where that is needed, and
the writer's thread encodes them: sums over a whole image would hold up every other request.
"""

from typing import NamedTuple

import msgspec

from gateway.inference.signature import Tensors
from gateway.prediction_log import tensors
from gateway.prediction_log.row import ROW_BYTES, FeedbackRow, PredictionRow, Row
from gateway.prediction_log.rules import Values


class Facts(NamedTuple):
    """What is known of an answered request: its row, but for what the log itself sets, and the tensors that there are."""

    row: PredictionRow
    inputs: Tensors | None = None
    outputs: Tensors | None = None


class Large(NamedTuple):
    """Tensors that are not encoded yet, and the setting for that."""

    inputs: Tensors | None
    outputs: Tensors | None
    values: Values


class Entry(msgspec.Struct, gc=False):
    """A row on its way to the sink. ``size`` is what it takes in memory, in bytes."""

    row: Row
    size: int
    large: Large | None = None

    def complete(self) -> Row:
        """The row as it is written; its large tensors are encoded now, and given up."""
        if self.large is not None and isinstance(self.row, PredictionRow):
            _encode(self.row, *self.large)
            self.large = None
        return self.row


def of_prediction(facts: Facts, values: Values, most_bytes: int) -> Entry:
    """The entry of an answered request. Tensors of more than ``most_bytes`` are left out, and the row says so."""
    row, inputs, outputs = facts
    kept_outputs = None if values == "none" else outputs
    given = [some for some in (inputs, kept_outputs) if some]
    if all(map(tensors.are_small, given)):
        _encode(row, inputs, kept_outputs, values)
        return Entry(row, ROW_BYTES + len(row.inputs or b"") + len(row.outputs or b""))
    size = sum(map(tensors.memory_bytes, given))
    if size > most_bytes:
        row.truncated = True
        return Entry(row, ROW_BYTES)
    large = Large(tensors.owned(inputs) if inputs else None, tensors.owned(kept_outputs) if kept_outputs else None, values)
    return Entry(row, ROW_BYTES + size, large)


def of_feedback(row: FeedbackRow) -> Entry:
    """The entry of a row of feedback."""
    return Entry(row, ROW_BYTES + len(row.label))


def _encode(row: PredictionRow, inputs: Tensors | None, outputs: Tensors | None, values: Values) -> None:
    if inputs is not None:
        row.digest = tensors.digest(inputs)
    if values != "none":
        whole = values == "all"
        row.inputs = None if inputs is None else tensors.encode(inputs, whole)
        row.outputs = None if outputs is None else tensors.encode(outputs, whole)
