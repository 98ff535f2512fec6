"""Rows of the prediction log as JSON for people."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import orjson

from gateway.prediction_log import tensors
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.tensors import Summarised
from gateway.telemetry.logs import printable_json


def time_text(ts: int) -> str:
    """Microseconds since 1970 (UTC) in ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(ts // 1_000_000, UTC).replace(microsecond=ts % 1_000_000).isoformat(timespec="milliseconds")


def row_document(row: PredictionRow) -> dict[str, Any]:
    """The row with its tensors decoded."""
    document = msgspec.structs.asdict(row)
    document["ts"] = time_text(row.ts)
    document["digest"] = row.digest.hex() if row.digest else None
    for name in ("inputs", "outputs"):
        document[name] = tensors.decode(document[name]) if document[name] else None
    return document


def json_text(value: Any) -> str:
    """The JSON of a document with tensors, for a terminal too. What is no finite number is null."""
    return printable_json(orjson.dumps(value, _plain, orjson.OPT_SERIALIZE_NUMPY).decode())


def _plain(value: Any) -> Any:
    """What orjson does not know: summaries, strings of tensors, scalars, and arrays of rare dtypes."""
    match value:
        case Summarised():
            return {"dtype": value.dtype, "shape": value.shape, **msgspec.structs.asdict(value.summary)}
        case bytes():
            return value.decode(errors="replace")
        case np.ndarray() if value.dtype.kind == "c":
            return np.stack([value.real, value.imag], axis=-1)
        case np.ndarray() if value.ndim == 0 and not value.dtype.hasobject:
            return (value if value.dtype.isbuiltin else value.astype(np.float32))[()]
        case np.ndarray():
            return value.tolist() if value.dtype.hasobject else value.astype(np.float32)
        case _:
            raise TypeError(f"no JSON form of {type(value).__name__}")
