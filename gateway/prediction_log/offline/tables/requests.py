"""Predictions as blocks of a table with a row for each request: its columns are those of the log, with the tensors as JSON."""

from typing import Any, Final

import msgspec
import numpy as np

from gateway.prediction_log import tensors
from gateway.prediction_log.documents import json_text
from gateway.prediction_log.offline.tables.columns import JSON, TEXT, TIME, Column
from gateway.prediction_log.offline.tables.instances import Block
from gateway.prediction_log.offline.tables.labels import Labelled
from gateway.prediction_log.row import PredictionRow

_KINDS: Final[dict[Any, str]] = {
    str: TEXT,
    str | None: TEXT,
    int: "int64",
    int | None: "int64",
    float: "double",
    bool: "bool",
    bytes | None: JSON,
}
_OTHER: Final = {"ts": TIME, "digest": TEXT}

COLUMNS: Final = (
    *(Column(field.name, _OTHER.get(field.name) or _KINDS[field.type]) for field in msgspec.structs.fields(PredictionRow)),
    Column("weight", "double"),
    Column("labels", JSON),
)
"""``weight`` is 1 / ``sample_rate``; ``labels`` is an object with the label of each row that has one."""


def request_block(labelled: Labelled) -> Block:
    """The one row of a request."""
    row, labels = labelled
    block = {name: [value] for name, value in msgspec.structs.asdict(row).items()}
    block["digest"] = [row.digest.hex() if row.digest else None]
    block["inputs"], block["outputs"] = [_json(row.inputs)], [_json(row.outputs)]
    block["weight"] = [1 / row.sample_rate]
    block["labels"] = ["{" + ",".join(f'"{i}":{label}' for i, label in sorted(labels.items())) + "}" if labels else None]
    return block


def _json(data: bytes | None) -> str | None:
    return json_text({name: _named(tensor) for name, tensor in tensors.decode(data).items()}) if data else None


def _named(tensor: Any) -> Any:
    """The tensor, with words for what is no finite number: JSON has none."""
    if not isinstance(tensor, np.ndarray) or tensor.dtype.hasobject or tensor.dtype.kind == "c" or np.isfinite(tensor).all():
        return tensor
    words = np.array(tensor.tolist(), object)
    words[np.isnan(tensor)] = "NaN"
    words[np.isposinf(tensor)] = "Infinity"
    words[np.isneginf(tensor)] = "-Infinity"
    return words.tolist()
