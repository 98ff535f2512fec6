"""Warm-up: the requests that a version has to answer before it serves (upstream's saved_model_warmup.cc)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow_serving.apis import prediction_log_pb2

from model_server.requests.examples import classify, regress
from model_server.requests.multi_inference import multi_inference
from model_server.requests.predict import PredictSettings, predict
from model_server.session.servable import Servable
from model_server.status import ServingError, from_number, invalid_argument

FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_RECORDS = 1000


def warm_up(servable: Servable, directory: str, iterations: int, settings: PredictSettings) -> int:
    """Run the requests that lie beside a SavedModel, ``iterations`` times each (0 means once).

    Returns the number of records. The first failing request raises its ServingError; no file is no work.
    """
    path = Path(directory) / FILE
    count = 0
    for record in _records(path):
        if count == _MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}")
        count += 1
        log = _parsed(record)
        for _ in range(max(1, iterations)):
            _replay(servable, log, settings)
    return count


def _records(path: Path) -> Iterator[bytes]:
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise from_number(
            error.error_code, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from error


def _parsed(record: bytes) -> Any:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {record[:64]!r}") from error


def _replay(servable: Servable, log: Any, settings: PredictSettings) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(servable, log.predict_log.request, settings)
    elif kind == "classify_log":
        classify(servable, log.classify_log.request, check_method=settings.check_method_name)
    elif kind == "regress_log":
        regress(servable, log.regress_log.request, check_method=settings.check_method_name)
    elif kind == "multi_inference_log":
        multi_inference(servable, log.multi_inference_log.request, check_method=settings.check_method_name)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
