"""What waits in memory to be written: rows with small tensors encoded, and large tensors as they are.

Small tensors are encoded in the request, so that no array is kept. Large ones are only copied there where that is needed, and
the writer's thread encodes them: sums over a whole image would hold up every other request.
"""

from typing import NamedTuple, TypeAlias

import msgspec

from gateway.inference.signature import Tensors
from gateway.prediction_log import tensors
from gateway.prediction_log.row import ROW_BYTES, FeedbackRow, PredictionRow, Row, bounded
from gateway.prediction_log.rules import Values

Facts: TypeAlias = tuple[PredictionRow, Tensors | None, Tensors | None]
"""What is known of an answered request: its row, but for what the log itself sets, and its inputs and outputs, if there are."""


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
        """The row as it is written: with the digest of its inputs, and its large tensors encoded and given up.

        What is left for here does not hold up a request.
        """
        row = self.row
        if isinstance(row, PredictionRow):
            row.request_id = bounded(row.request_id)
            row.trace_id = row.trace_id and bounded(row.trace_id)
            if self.large is not None:
                _encode(row, *self.large)
                self.large = None
            elif row.inputs is not None:
                row.digest = tensors.digest_of_form(row.inputs)
        return row


def of_prediction(facts: Facts, values: Values, most_bytes: int) -> Entry:
    """The entry of an answered request. Tensors of more than ``most_bytes`` are left out, and the row says so."""
    row, inputs, outputs = facts
    if values == "none":
        outputs = None
    small_inputs = None if inputs is None else tensors.encode_small(inputs)
    small_outputs = None if outputs is None else tensors.encode_small(outputs)
    if (small_inputs is None and inputs is not None) or (small_outputs is None and outputs is not None):
        return _of_large(row, Large(inputs, outputs, values), most_bytes)
    if values == "none":
        row.digest = None if small_inputs is None else tensors.digest_of_form(small_inputs)
        return Entry(row, ROW_BYTES)
    row.inputs, row.outputs = small_inputs, small_outputs
    return Entry(row, ROW_BYTES + len(small_inputs or b"") + len(small_outputs or b""))


def _of_large(row: PredictionRow, large: Large, most_bytes: int) -> Entry:
    inputs, outputs, values = large
    size = sum(tensors.memory_bytes(some) for some in (inputs, outputs) if some)
    if size > most_bytes:
        row.truncated = True
        return Entry(row, ROW_BYTES)
    owned = Large(inputs and tensors.owned(inputs), outputs and tensors.owned(outputs), values)
    return Entry(row, ROW_BYTES + size, owned)


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
