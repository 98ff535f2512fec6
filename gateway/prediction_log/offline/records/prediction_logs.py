"""Predictions as records of TensorFlow Serving: what a next version is warmed up with, and what ``log replay`` sends."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.backend.prediction_logs import RecordedPredict, decode_predict, encode_predict
from gateway.errors import GatewayError
from gateway.inference.signature import Tensors
from gateway.prediction_log import tensors
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.records.tf_records import records, write_record
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.tensors import Summarised


def write_prediction_logs(path: Path, rows: Iterable[PredictionRow], most: int | None) -> tuple[int, int]:
    """Write at most ``most`` of the requests that were answered, with all inputs as they were.

    Returns how many were written, and how many were left out: refused ones, and those whose inputs were not kept as a whole. A
    response is left out of a record if it was not kept as a whole. Raises OSError.
    """
    count = left_out = 0
    with path.open("wb") as file:
        for row in rows:
            if count == most:
                break
            recorded = _recorded(row)
            if recorded is None:
                left_out += 1
            else:
                write_record(file, encode_predict(recorded))
                count += 1
    return count, left_out


def recorded_requests(path: Path) -> Iterator[RecordedPredict | None]:
    """The Predict request of each record of a file; None for records of other requests.

    Raises ExportFailure for a file that cannot be read, or a record that no server reads.
    """
    for number, record in enumerate(records(path)):
        try:
            yield decode_predict(record)
        except (ValueError, GatewayError) as error:
            raise ExportFailure(f"{path}: record {number}: {error}") from error


def _recorded(row: PredictionRow) -> RecordedPredict | None:
    inputs = _whole(row.inputs)
    if row.status != 200 or inputs is None:
        return None
    outputs = _whole(row.outputs)
    return RecordedPredict(row.model, row.version, row.signature, inputs, outputs, sample_rate=row.sample_rate)


def _whole(data: bytes | None) -> Tensors | None:
    if data is None:
        return None
    found: dict[str, Any] = dict(tensors.decode(data))
    return None if any(isinstance(tensor, Summarised) for tensor in found.values()) else found
