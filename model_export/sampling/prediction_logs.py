"""TFRecords of tensorflow.serving.PredictionLog, as TensorFlow Serving's saved_model_warmup.cc replays them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_export.checking.guesses import Inputs
from model_export.errors import first_line
from model_export.sampling.sample import DEFAULT_SIGNATURE, Sample, SampleError, Signatures, find, require_inputs

MOST_RECORDS = 1000


@dataclass(frozen=True)
class Log:
    """One PredictionLog, not yet held against a signature."""

    place: str
    record: Any

    def bind(self, signatures: Signatures) -> Sequence[Sample]:
        """Return a sample for each signature that the record asks; none for an empty record. Raises SampleError."""
        samples = []
        for name, inputs in self._requests():
            signature = find(signatures, name, self.place)
            require_inputs(signature, list(inputs), self.place)
            samples.append(Sample(signature, inputs, self.place, self.record))
        return samples

    def _requests(self) -> Iterator[tuple[str, Inputs]]:
        kind = self.record.WhichOneof("log_type")
        if kind is None:
            return
        request = getattr(self.record, kind).request
        if kind == "predict_log":
            yield _name(request), self._tensors(request.inputs)
        elif kind in {"classify_log", "regress_log"}:
            yield _name(request), {"inputs": _serialized_examples(request.input)}
        elif kind == "multi_inference_log":
            for task in request.tasks:
                yield _name(task), {"inputs": _serialized_examples(request.input)}
        else:
            raise SampleError(f"{self.place}: a {kind} is not replayed by servers")

    def _tensors(self, inputs: Any) -> Inputs:
        arrays = {}
        for name, tensor in inputs.items():
            try:
                arrays[name] = np.asarray(tf.make_ndarray(tensor))
            except (ValueError, TypeError) as error:
                raise SampleError(f"{self.place}: input {name} is no valid TensorProto: {first_line(error)}") from error
        return arrays


def logs_in(path: Path, subject: str) -> list[Log]:
    """Return the records of a file, each with its place in `subject`. Raises SampleError for one that no server reads."""
    try:
        serialized = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        records = [prediction_log_pb2.PredictionLog.FromString(record) for record in serialized]
    except (tf.errors.OpError, DecodeError) as error:
        raise SampleError(f"{subject} is not a TFRecord of PredictionLogs: {first_line(error)}") from error
    if len(records) > MOST_RECORDS:
        raise SampleError(f"{subject} has {len(records)} records; a server refuses more than {MOST_RECORDS}")
    return [Log(f"record {position} of {subject}", record) for position, record in enumerate(records)]


def _name(request: Any) -> str:
    return request.model_spec.signature_name or DEFAULT_SIGNATURE


def _serialized_examples(examples: Any) -> Any:
    """Return the examples as object[rows] of bytes. Context goes first: where both have a feature, the example's counts."""
    with_context = examples.example_list_with_context
    context = with_context.context.SerializeToString()
    chosen = with_context.examples or examples.example_list.examples
    return np.array([context + example.SerializeToString() for example in chosen], dtype=object)
