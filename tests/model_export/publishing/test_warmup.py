"""The warm-up files: those that are written, and those that come with a model."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_export import models
from model_export.errors import ExportError
from model_export.publishing import warmup
from model_export.publishing.release import release
from model_export.sampling.prediction_logs import MOST_RECORDS, logs_in
from model_export.sources.writers import writer_for
from tests.model_export import made_models

PredictionLog = prediction_log_pb2.PredictionLog


def read(path):
    return [log.record for log in logs_in(path, str(path))]


def request_of(record):
    return getattr(record, record.WhichOneof("log_type")).request


def predict_log(signature: str, **inputs: list[float]) -> PredictionLog:
    record = PredictionLog()
    record.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        record.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(np.array(value, np.float32)))
    return record


def regress_log(signature: str, **features: float) -> PredictionLog:
    record = PredictionLog()
    record.regress_log.request.model_spec.signature_name = signature
    example = record.regress_log.request.input.example_list.examples.add()
    for name, value in features.items():
        example.features.feature[name].float_list.value.append(value)
    return record


@pytest.fixture
def publish_with(built, tmp_path):
    """Publish half_plus_two with this content as its own warm-up file."""

    def publish(content: bytes | list[PredictionLog]):
        own = tmp_path / "own"
        shutil.copytree(built / "half_plus_two" / "1", own)
        if isinstance(content, bytes):
            (own / warmup.PATH).write_bytes(content)
        else:
            with tf.io.TFRecordWriter(str(own / warmup.PATH)) as writer:
                for record in content:
                    writer.write(record.SerializeToString())
        return release(tmp_path / "models", "mine", writer_for(str(own)), lambda step: None)

    return publish


@pytest.mark.parametrize("name", models.EXAMPLES)
def test_every_signature_of_an_example_is_warmed_up(built, load, name):
    records = read(built / name / "1" / warmup.PATH)

    asked = [request_of(record).model_spec for record in records]
    assert {spec.name for spec in asked} == {name}
    assert sorted(spec.signature_name for spec in asked) == sorted(load(built / name / "1").signatures)


def test_each_signature_is_asked_through_an_api_that_accepts_it(built):
    """`regress_x2_to_y3` takes floats, so Regress, which feeds serialized examples, would fail the load."""
    records = read(built / "half_plus_two" / "1" / warmup.PATH)

    assert {request_of(r).model_spec.signature_name: r.WhichOneof("log_type") for r in records} == {
        "serving_default": "predict_log",
        "classify_x_to_y": "classify_log",
        "regress_x_to_y": "regress_log",
        "regress_x_to_y2": "regress_log",
        "regress_x2_to_y3": "predict_log",
    }


def test_examples_in_requests_hold_the_features_that_the_model_reads(built):
    records = read(built / "half_plus_two" / "1" / warmup.PATH)
    [record] = [r for r in records if r.WhichOneof("log_type") == "classify_log"]
    [example] = record.classify_log.request.input.example_list.examples

    assert {name: list(f.float_list.value) for name, f in example.features.feature.items()} == {"x": [1.0], "x2": [1.0]}


def test_a_predict_request_carries_every_input_with_its_dtype(built):
    [record] = read(built / "basket" / "1" / warmup.PATH)
    inputs = record.predict_log.request.inputs

    assert {name: tf.make_ndarray(tensor).tolist() for name, tensor in inputs.items()} == {
        "sku": [b"text"],
        "quantity": [1],
        "unit_price": [1.0],
        "express": [True],
    }
    assert {name: tf.dtypes.as_dtype(tensor.dtype).name for name, tensor in inputs.items()} == {
        "sku": "string",
        "quantity": "int32",
        "unit_price": "float32",
        "express": "bool",
    }


def test_a_signature_that_changes_the_model_is_left_out(load, tmp_path):
    steps = []
    released = release(tmp_path / "models", "counter", writer_for(f"{made_models.__name__}:counter"), steps.append)

    assert [answer.signature.name for answer in released.verdict.answered] == ["increment", "look"]
    records = read(released.version.path / warmup.PATH)
    assert [request_of(record).model_spec.signature_name for record in records] == ["look"]
    assert [step for step in steps if "increment" in step]
    assert load(released.version.path)("look")["count"] == 0


def test_a_warmup_file_that_comes_with_the_model_is_kept(publish_with):
    records = [predict_log("", x=[2.0]), regress_log("regress_x_to_y", x=1), PredictionLog()]
    released = publish_with(records)

    assert read(released.version.path / warmup.PATH) == records


def test_an_empty_warmup_file_is_replaced_by_a_real_one(publish_with):
    assert len(read(publish_with(b"").version.path / warmup.PATH)) == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a record file", "is not a TFRecord of PredictionLogs"),
        (b"\0" * 3, r"is not a TFRecord of PredictionLogs \(its last 3 bytes are no whole record\)"),
        (b"\0" * 8, "is not a TFRecord of PredictionLogs"),
        ([PredictionLog(), PredictionLog()], "is no warm-up file: there is no request in it; delete it to have one made"),
        ([tf.train.Example(features={"feature": {"x": {}}})], "there is no request in it"),
        ([predict_log("nope", x=[1.0])], "record 0 .* no signature nope"),
        ([predict_log("", x=[1.0]), predict_log("", y=[1.0])], "record 1 .* input 'x' is missing"),
        ([regress_log("regress_x_to_y", x2=1)], "record 0 .* x"),
        ([regress_log("regress_x2_to_y3", x2=1)], "record 0 .*"),
        ([PredictionLog(session_run_log=prediction_log_pb2.SessionRunLog())], "a session_run_log is not replayed"),
        ([PredictionLog()] * (MOST_RECORDS + 1), "has 1001 records; a server refuses more than 1000"),
    ],
    ids=[
        "no record file",
        "three bytes",
        "eight bytes",
        "empty records",
        "examples",
        "unknown signature",
        "missing input",
        "missing feature",
        "wrong api",
        "kind",
        "too many",
    ],
)
def test_a_warmup_file_that_would_fail_the_load_is_refused(publish_with, tmp_path, content, reason):
    with pytest.raises(ExportError, match=reason):
        publish_with(content)
    assert not (tmp_path / "models" / "mine").exists()
