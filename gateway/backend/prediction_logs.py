"""tensorflow.serving.PredictionLog: the records of TensorFlow Serving's request logs and warm-up files.

A gateway that serves does not import this module: its messages would take memory in every worker.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from gateway.backend.stubs import tensorflow_without_runtime
from gateway.backend.tensor_proto import decode_tensor, encode_tensor
from gateway.inference.signature import Tensors

with tensorflow_without_runtime():
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog


@dataclass(frozen=True, slots=True)
class RecordedPredict:
    """A Predict request and what it was answered. ``outputs`` is None if the record holds no response."""

    model: str
    version: int | None
    signature: str
    inputs: Tensors
    outputs: Tensors | None
    output_filter: tuple[str, ...] = ()
    sample_rate: float = 1.0


def encode_predict(recorded: RecordedPredict) -> bytes:
    """The serialized PredictionLog of ``recorded``."""
    record = PredictionLog()
    request = record.predict_log.request
    request.model_spec.name = recorded.model
    request.model_spec.signature_name = recorded.signature
    request.output_filter.extend(recorded.output_filter)
    for name, array in recorded.inputs.items():
        encode_tensor(array, request.inputs[name])
    record.log_metadata.sampling_config.sampling_rate = recorded.sample_rate
    spec = record.log_metadata.model_spec
    spec.CopyFrom(request.model_spec)
    if recorded.version is not None:
        # Not in the request: a warm-up of the next version must not ask for this one.
        spec.version.value = recorded.version
    if recorded.outputs is not None:
        response = record.predict_log.response
        response.model_spec.CopyFrom(spec)
        for name, array in recorded.outputs.items():
            encode_tensor(array, response.outputs[name])
    serialized: bytes = record.SerializeToString()
    return serialized


def decode_predict(serialized: bytes) -> RecordedPredict | None:
    """The Predict request of a serialized PredictionLog; None if it is a request of another kind, or none.

    Raises:
        ValueError: the bytes are no PredictionLog.
        Internal: a tensor has no array form (``tensor_proto``).
    """
    try:
        record = PredictionLog.FromString(serialized)
    except DecodeError as error:
        raise ValueError("not a PredictionLog") from error
    if record.WhichOneof("log_type") != "predict_log":
        return None
    log, metadata = record.predict_log, record.log_metadata
    request, spec = log.request, metadata.model_spec
    return RecordedPredict(
        model=request.model_spec.name,
        version=spec.version.value if spec.HasField("version") else None,
        signature=request.model_spec.signature_name,
        inputs={name: decode_tensor(request.inputs[name]) for name in sorted(request.inputs)},
        outputs={name: decode_tensor(log.response.outputs[name]) for name in sorted(log.response.outputs)}
        if log.HasField("response")
        else None,
        output_filter=tuple(request.output_filter),
        sample_rate=metadata.sampling_config.sampling_rate,
    )
