"""TFRecords of tensorflow.serving.PredictionLog, as TensorFlow Serving's saved_model_warmup.cc replays them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from model_export.errors import first_line
from model_export.sampling import example_apis, tensor_proto
from model_export.sampling.sample import DEFAULT_SIGNATURE, Sample, SampleError, Signatures, find, require_inputs
from model_export.saved_model import CLASSIFY_METHOD, PREDICT_METHOD, REGRESS_METHOD, Array, Inputs, Signature

MOST_RECORDS = 1000
NO_REQUEST = "there is no request in it"
FRAME_BYTES = 16  # the length of a record and two checksums
_METHODS = {"predict_log": PREDICT_METHOD, "classify_log": CLASSIFY_METHOD, "regress_log": REGRESS_METHOD}


@dataclass(frozen=True)
class Log:
    """One PredictionLog, not yet held against a signature."""

    place: str
    record: Any

    @property
    def is_empty(self) -> bool:
        """Whether the record holds no request; servers skip such a one."""
        return self.record.WhichOneof("log_type") is None

    def bind(self, signatures: Signatures) -> Sequence[Sample]:
        """Return a sample for each signature that the record asks; none for an empty record.

        Raises SampleError for what a server refuses when it replays the record.
        """
        kind = self.record.WhichOneof("log_type")
        if kind is None:
            return []
        if kind == "multi_inference_log":
            return self._several(self.record.multi_inference_log.request, signatures)
        if kind not in _METHODS:
            raise SampleError(f"{self.place}: a {kind} is not replayed by servers")
        request = getattr(self.record, kind).request
        signature = find(signatures, _name(request), self.place)
        if kind == "predict_log":
            inputs = self._tensors(request.inputs)
            require_inputs(signature, list(inputs), self.place)
            self._check_filter(request.output_filter, signature)
            return [Sample(signature, inputs, self.place, self.record)]
        return [self._by_examples(_METHODS[kind], signature, request.input)]

    def _several(self, request: Any, signatures: Signatures) -> list[Sample]:
        """As TensorFlow Serving's multi_inference.cc: tasks of one model, each of another signature."""
        if not request.tasks:
            raise SampleError(f"{self.place}: {NO_REQUEST}: expected at least one task")
        names = [_name(task) for task in request.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SampleError(f"{self.place}: signature {twice[0]} is asked by two tasks; a server takes one of each signature")
        models = list(dict.fromkeys(task.model_spec.name for task in request.tasks))
        if "" in models or len(models) > 1:
            got = " and ".join(map(repr, models))
            raise SampleError(f"{self.place}: expected one model name, the same in the model_spec of each task, got {got}")
        samples = []
        for task, name in zip(request.tasks, names, strict=True):
            if task.method_name not in (CLASSIFY_METHOD, REGRESS_METHOD):
                expected = f"expected {CLASSIFY_METHOD} or {REGRESS_METHOD}"
                raise SampleError(f"{self.place}: method_name of a task: {expected}, got {task.method_name!r}")
            samples.append(self._by_examples(task.method_name, find(signatures, name, self.place), request.input))
        return samples

    def _by_examples(self, method: str, signature: Signature, given: Any) -> Sample:
        examples = _serialized_examples(given)
        if not examples.size:
            raise SampleError(f"{self.place}: input: expected at least one example, got none")
        inputs = {"inputs": examples}
        require_inputs(signature, list(inputs), self.place)
        reason = example_apis.why_not_asked(method, signature)
        if reason:
            raise SampleError(f"{self.place}: signature {signature.name} is not asked by {_verb(method)}: {reason}")
        return Sample(signature, inputs, self.place, self.record, method)

    def _check_filter(self, names: Sequence[str], signature: Signature) -> None:
        outputs = [tensor.name for tensor in signature.outputs]
        unknown = [name for name in names if name not in outputs]
        if unknown:
            gives = f"signature {signature.name} gives {', '.join(outputs)}"
            raise SampleError(f"{self.place}: output_filter: {unknown[0]!r} is no output; {gives}")
        twice = [name for name in names if list(names).count(name) > 1]
        if twice:
            raise SampleError(f"{self.place}: output_filter: {twice[0]!r} stands there twice; a server takes each output once")

    def _tensors(self, inputs: Any) -> Inputs:
        arrays = {}
        for name, tensor in inputs.items():
            try:
                arrays[name] = tensor_proto.array_of(tensor)
            except ValueError as error:
                raise SampleError(f"{self.place}: input {name} is no valid TensorProto: {error}") from error
        return arrays


def logs_in(path: Path, subject: str) -> list[Log]:
    """Return the records of a file, each with its place in `subject`. Raises SampleError for one that no server reads."""
    records = []
    for position, serialized in enumerate(_records(path, subject)):
        try:
            records.append(prediction_log_pb2.PredictionLog.FromString(serialized))
        except DecodeError as error:
            raise SampleError(f"record {position} of {subject} is no PredictionLog") from error
    if len(records) > MOST_RECORDS:
        raise SampleError(f"{subject} has {len(records)} records; a server refuses more than {MOST_RECORDS}")
    return [Log(f"record {position} of {subject}", record) for position, record in enumerate(records)]


def _records(path: Path, subject: str) -> Iterator[bytes]:
    """Yield the content of each record. Raises SampleError for a file that does not consist of whole records."""
    records, size = 0, 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            records, size = records + 1, size + len(record) + FRAME_BYTES
            yield record
    except tf.errors.OpError as error:
        raise SampleError(f"{_damage(subject, records)} ({first_line(error)})") from error
    rest = path.stat().st_size - size  # the dataset takes a short rest for the end
    if rest:
        raise SampleError(f"{_damage(subject, records)} (its last {rest} bytes are no whole record)")


def _damage(subject: str, records: int) -> str:
    if not records:
        return f"{subject} is not a TFRecord of PredictionLogs"
    return f"{subject} is damaged after {records} record{'s' if records > 1 else ''}: copy or write the file again"


def _name(request: Any) -> str:
    return request.model_spec.signature_name or DEFAULT_SIGNATURE


def _verb(method: str) -> str:
    return "Classify" if method == CLASSIFY_METHOD else "Regress"


def _serialized_examples(examples: Any) -> Array:
    """Return the examples as object[rows] of bytes. Context goes first: where both have a feature, the example's counts."""
    with_context = examples.example_list_with_context
    context = with_context.context.SerializeToString()
    chosen = with_context.examples or examples.example_list.examples
    return np.array([context + example.SerializeToString() for example in chosen], dtype=object)
