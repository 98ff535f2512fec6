"""TFRecord files and PredictionLogs are what TensorFlow writes and reads."""

import io
import random

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from gateway.backend.prediction_logs import RecordedPredict, decode_predict, encode_predict
from gateway.prediction_log import tensors
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.records.crc32c import crc32c
from gateway.prediction_log.offline.records.prediction_logs import recorded_requests, write_prediction_logs
from gateway.prediction_log.offline.records.tf_records import records, write_record
from tests.gateway.prediction_log.making import a_row


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_checksum_is_that_of_the_standard(data, checksum):
    assert crc32c(data) == checksum


def written(path, *contents):
    with path.open("wb") as file:
        for content in contents:
            write_record(file, content)
    return path


SIZES = (0, 1, 7, 4095, 4096, 4097, 4351, 4352, 100_003)


def test_tensorflow_reads_what_is_written_of_every_length(tmp_path):
    contents = [random.Random(size).randbytes(size) for size in SIZES]
    path = written(tmp_path / "log", *contents)
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == contents


def test_what_tensorflow_writes_is_read(tmp_path):
    contents = [random.Random(size).randbytes(size) for size in SIZES]
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        for content in contents:
            writer.write(content)
    assert list(records(tmp_path / "log")) == contents


@pytest.mark.parametrize("at", range(0, 2 * 19))
def test_a_changed_byte_is_noticed(tmp_path, at):
    path = written(tmp_path / "log", b"abc", b"def")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExportFailure, match="damaged after 1 records" if at >= 19 else "not a TFRecord file"):
        list(records(path))


@pytest.mark.parametrize("length", range(1, 19))
def test_a_file_that_was_cut_off_is_noticed(tmp_path, length):
    path = written(tmp_path / "log", b"abc", b"def")
    path.write_bytes(path.read_bytes()[: 19 + length])
    with pytest.raises(ExportFailure, match="damaged after 1 records"):
        list(records(path))


def test_a_length_that_no_record_has_is_not_read_into_memory(tmp_path):
    length = (2**40).to_bytes(8, "little")
    file = io.BytesIO()
    write_record(file, length)
    checksum = (crc32c(length) >> 15 | crc32c(length) << 17) + 0xA282EAD8 & 0xFFFFFFFF
    (tmp_path / "log").write_bytes(length + checksum.to_bytes(4, "little"))
    with pytest.raises(ExportFailure, match="not a TFRecord file"):
        list(records(tmp_path / "log"))


def test_a_missing_file_is_said_in_words(tmp_path):
    with pytest.raises(ExportFailure, match="nothing: No such file"):
        list(records(tmp_path / "nothing"))


def strings(*members):
    array = np.empty(len(members), object)
    array[:] = members
    return array


def test_a_record_is_a_prediction_log_as_tensorflow_reads_it():
    inputs = {"x": np.float32([[1.5, np.nan]]), "text": strings(b"\xff", b"")}
    outputs = {"y": np.array([1], ml_dtypes.bfloat16)}
    record = prediction_log_pb2.PredictionLog.FromString(
        encode_predict(RecordedPredict("digits", 3, "serving_default", inputs, outputs, sample_rate=0.5))
    )
    request, response = record.predict_log.request, record.predict_log.response
    assert (request.model_spec.name, request.model_spec.signature_name) == ("digits", "serving_default")
    assert not request.model_spec.HasField("version")
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["x"]), inputs["x"])
    assert tf.make_ndarray(request.inputs["text"]).tolist() == [b"\xff", b""]
    assert tf.make_ndarray(response.outputs["y"]).dtype == ml_dtypes.bfloat16
    assert response.model_spec.version.value == record.log_metadata.model_spec.version.value == 3
    assert record.log_metadata.sampling_config.sampling_rate == 0.5


@pytest.mark.parametrize("version", [None, 0, 7])
@pytest.mark.parametrize("outputs", [None, {}, {"y": np.arange(3)}])
def test_a_record_comes_back(version, outputs):
    recorded = RecordedPredict("m", version, "other", {"x": np.float32([1, 2])}, outputs, ("y",), 0.25)
    back = decode_predict(encode_predict(recorded))
    assert (back.model, back.version, back.signature, back.output_filter, back.sample_rate) == (
        "m",
        version,
        "other",
        ("y",),
        0.25,
    )
    np.testing.assert_array_equal(back.inputs["x"], recorded.inputs["x"])
    assert (back.outputs is None) == (outputs is None)
    assert {name: array.tolist() for name, array in (back.outputs or {}).items()} == ({"y": [0, 1, 2]} if outputs else {})


def test_only_answered_requests_with_whole_inputs_are_written(tmp_path):
    small, large = {"x": np.zeros((1, 2))}, {"x": np.zeros((1, 100))}
    rows = [
        a_row(request_id="good", inputs=tensors.encode(small, False), outputs=tensors.encode(small, False)),
        a_row(request_id="refused", status=400, inputs=tensors.encode(small, False)),
        a_row(request_id="no values"),
        a_row(request_id="summary", inputs=tensors.encode(large, False), outputs=tensors.encode(small, False)),
        a_row(request_id="answer as summary", inputs=tensors.encode(small, False), outputs=tensors.encode(large, False)),
        a_row(request_id="whole", inputs=tensors.encode(large, True), outputs=tensors.encode(large, True)),
    ]
    path = tmp_path / "log"
    assert write_prediction_logs(path, rows, None) == (3, 3)
    assert [recorded.outputs is not None for recorded in recorded_requests(path)] == [True, False, True]
    assert write_prediction_logs(path, rows, 2) == (2, 3)
    assert len(list(recorded_requests(path))) == 2


def test_other_records_are_told_apart(tmp_path):
    classify = prediction_log_pb2.PredictionLog()
    classify.classify_log.request.model_spec.name = "m"
    path = written(tmp_path / "log", classify.SerializeToString(), b"", b"\xff\xff")
    found = recorded_requests(path)
    assert [next(found), next(found)] == [None, None]
    with pytest.raises(ExportFailure, match="record 2: not a PredictionLog"):
        next(found)
