"""Replays a warm-up file that came with a model, as TensorFlow Serving's saved_model_warmup.cc does when it loads one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_export import warmup
from model_export.check import run
from model_export.errors import ExportError, first_line
from model_export.samples import Inputs
from model_export.saved_model import Signature, loaded

MOST_RECORDS = 1000


def replay(version_dir: Path, signatures: tuple[Signature, ...]) -> None:
    """Run every request of the version's warm-up file.

    Raises ExportError, naming the record, for whatever would keep a server from loading the version: not a TFRecord of
    PredictionLogs, over 1000 records, a kind of request that is not replayed, or one that the model refuses.
    """
    by_name = {signature.name: signature for signature in signatures}
    records = read(version_dir / warmup.PATH)
    with loaded(version_dir) as session:
        for position, record in enumerate(records):
            try:
                for name, inputs in _requests(record):
                    run(session, _known(by_name, name), inputs)
            except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
                raise ExportError(f"record {position} of its {warmup.PATH} fails: {_reason(error)}") from error


def read(path: Path) -> list[Any]:
    """Return the PredictionLogs of a warm-up file. Raises ExportError for one that a server could not read."""
    try:
        serialized = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        records = [prediction_log_pb2.PredictionLog.FromString(record) for record in serialized]
    except (tf.errors.OpError, DecodeError) as error:
        raise ExportError(f"its {warmup.PATH} is not a TFRecord of PredictionLogs: {first_line(error)}") from error
    if len(records) > MOST_RECORDS:
        raise ExportError(f"its {warmup.PATH} has {len(records)} records; a server refuses more than {MOST_RECORDS}")
    return records


def _requests(record: Any) -> Iterator[tuple[str, Inputs]]:
    kind = record.WhichOneof("log_type")
    if kind is None:
        return
    request = getattr(record, kind).request
    if kind == "predict_log":
        yield _name(request), {alias: tf.make_ndarray(tensor) for alias, tensor in request.inputs.items()}
    elif kind in {"classify_log", "regress_log"}:
        yield _name(request), {"inputs": _serialized_examples(request.input)}
    elif kind == "multi_inference_log":
        for task in request.tasks:
            yield _name(task), {"inputs": _serialized_examples(request.input)}
    else:
        raise ValueError(f"a {kind} is not replayed by servers")


def _known(by_name: dict[str, Signature], name: str) -> Signature:
    if name not in by_name:
        raise ValueError(f"the model has no signature {name}")
    return by_name[name]


def _name(request: Any) -> str:
    return request.model_spec.signature_name or "serving_default"


def _serialized_examples(examples: Any) -> Any:
    """Return the examples as object[rows] of bytes. Context goes first: where both have a feature, the example's counts."""
    with_context = examples.example_list_with_context
    context = with_context.context.SerializeToString()
    chosen = with_context.examples or examples.example_list.examples
    return np.array([context + example.SerializeToString() for example in chosen], dtype=object)


def _reason(error: Exception) -> str:
    return f"input {error} is missing" if isinstance(error, KeyError) else first_line(error)
