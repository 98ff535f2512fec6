"""The warm-up file that TensorFlow Serving replays before it calls a version AVAILABLE.

`assets.extra/tf_serving_warmup_requests` is a TFRecord of tensorflow.serving.PredictionLog. A record that fails makes the
whole load fail, so only requests that the model has just answered are written, each in the API that accepts it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from model_export.checking.answers import Answered
from model_export.errors import ExportError
from model_export.sampling import example_apis
from model_export.sampling.prediction_logs import NO_REQUEST, Log, logs_in
from model_export.saved_model import CLASSIFY_METHOD, REGRESS_METHOD

PATH = Path("assets.extra", "tf_serving_warmup_requests")


def read(version_dir: Path) -> list[Log]:
    """Return the records of a version's warm-up file; none where there is none.

    Raises ExportError for a damaged one, and for one without a request. An empty record beside others is what servers skip.
    """
    path = version_dir / PATH
    if not path.is_file() or not path.stat().st_size:
        return []
    logs = logs_in(path, f"its {PATH}")
    if all(log.is_empty for log in logs):
        raise ExportError(f"its {PATH} is no warm-up file: {NO_REQUEST}; delete it to have one made")
    return logs


def records(model: str, answered: Iterable[Answered]) -> list[Any]:
    """Return a PredictionLog for each request that was answered; a sample that came as one stays as it was."""
    found = []
    for answer in answered:
        kept = answer.sample.record if answer.sample else None
        if kept is None:
            found.append(prediction_log(model, answer))
        elif not any(kept is other for other in found):  # a record may ask several signatures
            found.append(kept)
    return found


def write(version_dir: Path, logs: Sequence[Any]) -> None:
    """Write the warm-up file of a version."""
    path = version_dir / PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def prediction_log(model: str, answer: Answered) -> Any:
    """Return the request as a PredictionLog: Classify or Regress where the server's rules for them hold, else Predict."""
    spec = model_pb2.ModelSpec(name=model, signature_name=answer.signature.name)
    if answer.signature.method == CLASSIFY_METHOD and _accepted_by(CLASSIFY_METHOD, answer):
        classify = classification_pb2.ClassificationRequest(model_spec=spec, input=_examples(answer))
        return prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=classify))
    if answer.signature.method == REGRESS_METHOD and _accepted_by(REGRESS_METHOD, answer):
        regress = regression_pb2.RegressionRequest(model_spec=spec, input=_examples(answer))
        return prediction_log_pb2.PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=regress))
    predict = predict_pb2.PredictRequest(model_spec=spec)
    for tensor in answer.signature.inputs:
        value = tf.make_tensor_proto(answer.inputs[tensor.name], dtype=tensor.dtype)
        predict.inputs[tensor.name].CopyFrom(value)
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=predict))


def _accepted_by(method: str, answer: Answered) -> bool:
    """Whether the API takes the signature, these inputs and this answer."""
    if not _takes_examples(answer) or example_apis.why_not_asked(method, answer.signature):
        return False
    return not example_apis.why_not_answered(method, len(answer.inputs["inputs"]), answer.outputs)


def _takes_examples(answer: Answered) -> bool:
    """Whether there is one string tensor called `inputs`, which took a serialized example in shape [rows]."""
    tensors = answer.signature.inputs
    named = len(tensors) == 1 and tensors[0].name == "inputs" and tensors[0].dtype == tf.string
    given = answer.inputs["inputs"] if named else np.empty(0)
    return given.ndim == 1 and given.size > 0 and all(_is_example(serialized) for serialized in given)


def _is_example(serialized: Any) -> bool:
    try:
        return bool(tf.train.Example.FromString(serialized).features.feature)
    except DecodeError:
        return False


def _examples(answer: Answered) -> Any:
    examples = [tf.train.Example.FromString(serialized) for serialized in answer.inputs["inputs"]]
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
