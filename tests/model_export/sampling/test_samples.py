"""`--sample`: requests that the user gives are checked, run, and become the warm-up of their signatures."""

import base64
import gzip
import io
import json
import os
import shutil
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_export.errors import ExportError
from model_export.publishing import warmup
from model_export.publishing.release import release
from model_export.sampling import sample_file
from model_export.sources.writers import writer_for
from tests.model_export import hard_models, made_models

HARD, MADE = hard_models.__name__, made_models.__name__
PredictionLog = prediction_log_pb2.PredictionLog


@pytest.fixture
def publish(tmp_path):
    """Publish a source with these files as samples."""

    def publish(source, *files):
        samples = [sample for file in files for sample in sample_file.read(file)]
        return release(tmp_path / "models", "mine", writer_for(str(source)), lambda step: None, samples)

    return publish


@pytest.fixture
def written(tmp_path):
    """Write a file: text, bytes, JSON, or a list of PredictionLogs."""

    def write(content, name="sample"):
        path = tmp_path / name
        if isinstance(content, list) and isinstance(content[0], PredictionLog | tf.train.Example):
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in content:
                    writer.write(record.SerializeToString())
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def asked(released):
    """Return what the warm-up file asks: for each record its signature and its inputs as lists."""
    records = [log.record.predict_log.request for log in warmup.read(released.version.path)]
    return [
        (record.model_spec.signature_name, {name: tf.make_ndarray(t).tolist() for name, t in record.inputs.items()})
        for record in records
    ]


def predict_log(signature, **inputs):
    record = PredictionLog()
    record.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        record.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return record


def nested(depth):
    value = 12345.5
    for _ in range(depth):
        value = [value]
    return value


def npy_header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


class TestForms:
    @pytest.mark.parametrize(
        "body",
        [
            {"instances": [{"x": 12345.5}, {"x": 12345.5}]},
            {"instances": [12345.5, 12345.5]},
            {"inputs": {"x": [12345.5, 12345.5]}},
            {"inputs": [12345.5, 12345.5], "signature_name": ""},
            {"inputs": {"x": [12345.5, 12345.5], "more": 1}, "signature_name": "serving_default", "other": None},
        ],
        ids=["rows by name", "rows", "columns by name", "columns", "other keys"],
    )
    def test_a_body_as_predict_takes_it(self, publish, written, body):
        released = publish(f"{HARD}:only_one_number", written(body))

        assert released.verdict.warnings == ()
        assert asked(released) == [("serving_default", {"x": [12345.5, 12345.5]})]

    def test_json_on_several_lines_is_one_body(self, publish, written):
        released = publish(f"{HARD}:only_one_number", written('\ufeff{\n  "inputs":\n [12345.5]}\n'))

        assert asked(released) == [("serving_default", {"x": [12345.5]})]

    def test_json_lines_are_several(self, publish, written):
        lines = '{"inputs": [12345.5]}\n\n{"instances": [12345.5, 12345.5]}\r\n'
        assert asked(publish(f"{HARD}:only_one_number", written(lines))) == [
            ("serving_default", {"x": [12345.5]}),
            ("serving_default", {"x": [12345.5, 12345.5]}),
        ]

    def test_an_npz_of_arrays_by_input_name(self, publish, tmp_path):
        np.savez(tmp_path / "sample.npz", x=np.array([12345.5]))  # float64, as numpy makes them
        released = publish(f"{HARD}:only_one_number", tmp_path / "sample.npz")

        assert asked(released) == [("serving_default", {"x": [12345.5]})]

    def test_prediction_logs_stay_as_they_are(self, publish, written):
        records = [predict_log("", x=[12345.5]), predict_log("serving_default", x=[12345.5])]
        released = publish(f"{HARD}:only_one_number", written(records))

        assert [log.record for log in warmup.read(released.version.path)] == records

    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3.4e38, 3.4028235e38])
    def test_numbers_that_are_none_and_the_largest_ones_are_taken_as_they_are(self, publish, written, tmp_path, number):
        np.savez(tmp_path / "sample.npz", x=np.array([number, 1.0]))
        body = written({"inputs": [number, 1.0]})
        for file in (body, tmp_path / "sample.npz"):
            [answered] = publish(f"{HARD}:twice", file).verdict.answered
            np.testing.assert_array_equal(answered.inputs["x"], np.array([number, 1.0], np.float32))

    def test_several_files_and_only_the_other_signatures_are_guessed(self, publish, written):
        scale = written({"inputs": [5.0], "signature_name": "scale"}, "a.json")
        again = written({"inputs": [6.0], "signature_name": "scale"}, "b.json")
        released = publish(f"{MADE}:two_signatures", scale, again)

        assert asked(released) == [("negate", {"x": [1.0]}), ("scale", {"x": [5.0]}), ("scale", {"x": [6.0]})]

    @pytest.mark.parametrize("function", ["sparse_parts", "sparse_spec"])
    def test_the_parts_of_sparse_tensors(self, publish, written, function):
        names = ("indices", "values", "dense_shape") if function == "sparse_parts" else ("x", "x_1", "x_2")
        parts = dict(zip(names, ([[0, 0], [1, 2]], [1.5, 2.5], [2, 7]), strict=True))
        [answered] = publish(f"{HARD}:{function}", written({"inputs": parts})).verdict.answered

        assert answered.outputs["y"].reshape(2, -1)[:, 0].tolist() == [1.5, 2.5]

    @pytest.mark.parametrize("function", ["ragged_by_splits", "ragged_spec"])
    def test_the_parts_of_ragged_tensors(self, publish, written, function):
        names = ("values", "row_splits") if function == "ragged_by_splits" else ("ragged", "ragged_1")
        parts = dict(zip(names, ([1.0, 2.0, 4.0], [0, 2, 3]), strict=True))
        [answered] = publish(f"{HARD}:{function}", written({"inputs": parts})).verdict.answered

        assert answered.outputs["y"].tolist() == [3.0, 4.0]

    def test_base64_and_every_other_kind_of_value(self, publish, written, built):
        row = {"sku": {"b64": base64.b64encode(b"\xff\0").decode()}, "quantity": 2, "unit_price": 1.5, "express": True}
        released = publish(built / "basket" / "1", written({"instances": [row, {**row, "sku": "müg"}]}))

        [inputs] = [inputs for _, inputs in asked(released) if len(inputs["sku"]) == 2]
        assert inputs["sku"] == [b"\xff\0", "müg".encode()]
        assert (inputs["quantity"], inputs["unit_price"], inputs["express"]) == ([2, 2], [1.5, 1.5], [True, True])

    def test_examples_of_several_rows_become_a_classification(self, publish, written, built, tmp_path):
        own = tmp_path / "own"
        shutil.copytree(built / "half_plus_two" / "1", own, ignore=shutil.ignore_patterns("assets.extra"))
        example = tf.train.Example()
        example.features.feature["x"].float_list.value.append(4)
        serialized = {"b64": base64.b64encode(example.SerializeToString()).decode()}
        body = {"signature_name": "classify_x_to_y", "inputs": [serialized, serialized]}
        released = publish(own, written(body))

        records = [log.record for log in warmup.read(released.version.path)]
        [record] = [record for record in records if record.WhichOneof("log_type") == "classify_log"]
        assert len(record.classify_log.request.input.example_list.examples) == 2


class TestRefused:
    """Each refusal names the file, the line or record, and the input; nothing is published."""

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", "sample: an empty file; expected one JSON body"),
            (" \n", "sample: an empty file"),
            ("{", "sample: no valid JSON: .* at line 1 column 2"),
            ("{\n'a': 1}", "sample: no valid JSON: .* at line 2 column 1"),
            ('{"inputs": [12345.5]}\n{"inputs": [12345.5]', "sample line 2: no valid JSON"),
            ("[" * 100_000, "sample: no JSON that can be read: it is nested too deeply"),
            ("[1]", r'sample: expected an object with "instances" or "inputs", as :predict takes it, got \[1\]'),
            ({"x": [1]}, "sample: .* got the keys x"),
            ({}, r"sample: .* got the keys \(none\)"),
            ({"inputs": [1], "instances": [1]}, "sample: .* got both of them"),
            ({"inputs": [1], "signature_name": 5}, "sample: signature_name: expected a string, got 5"),
            ({"inputs": [1], "signature_name": "a"}, "sample: the model has no signature a; there are: serving_default"),
            ({"instances": []}, r"sample: instances: expected a list of at least one row, got \[\]"),
            ({"instances": 5}, "sample: instances: expected a list of at least one row, got 5"),
            ({"instances": [{"x": 1}, 2]}, r"instances\[1\]: expected an object with the inputs, as in the first row, got 2"),
            ({"instances": [{"x": 1}, {"y": 1}]}, r"instances\[1\]: input 'x' is missing, 'y' is no input; .* takes x"),
            ({"inputs": {"z": [1]}}, "sample: inputs: input 'x' is missing, 'z' is no input"),
            ({"inputs": ["a"]}, r'sample: input x: \[0\]: expected a number that float32 can hold, got "a"'),
            ({"inputs": [None]}, r"input x: \[0\]: expected a number that float32 can hold, got null"),
            ({"inputs": [True]}, r"input x: \[0\]: expected a number that float32 can hold, got true"),
            ({"inputs": [[1, 2], [3]]}, r"input x: \[1\]: expected a list of 2 as in the first row, got 1"),
            ({"inputs": [[1, 2], 3]}, r"input x: \[1\]: expected a list of 2 as in the first row, got 3"),
            ({"inputs": [1, [2]]}, r"input x: \[1\]: expected a value as in the first row, got the list \[2\]"),
            (b"\x93NUMPY and so on", r"a single array; write it with the input's name: np\.savez"),
            (b"PK\x03\x04 broken", r"sample: cannot be read as \.npz"),
            (b"\xff\xff\0 neither", "sample: neither text in UTF-8 nor a TFRecord of whole PredictionLogs; expected one JSON"),
            (b"\0\1\2", "sample: neither text in UTF-8 nor a TFRecord of whole PredictionLogs; expected one JSON"),
            (b"\0\1\2\3\4\5\6\7", "sample: neither text in UTF-8 nor a TFRecord of whole PredictionLogs; expected one JSON"),
            (bytes(64), r"sample is not a TFRecord of PredictionLogs \(corrupted record at 0 [^\]{}]*$"),
            ('{"inputs": ["ä"]}'.encode("latin-1"), "sample: text that is not in UTF-8: write it in UTF-8; expected one JSON"),
            ('{"inputs": [1]}'.encode("utf-16"), "sample: JSON in UTF-16: write it in UTF-8; expected one JSON"),
            ('{"inputs": [1]}'.encode("utf-16-be"), "sample: JSON in UTF-16: write it in UTF-8; expected one JSON"),
            (gzip.compress(b'{"inputs": [1]}'), "sample: a gzip archive: unpack it; expected one JSON"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "sample: a PNG picture: .*; expected one JSON"),
            ({"inputs": nested(70)}, "sample: input x: expected at most 64 lists within each other, got 70"),
            ({"inputs": nested(65)}, "sample: input x: expected at most 64 lists within each other, got 65"),
            ('{"inputs": [1e400]}', "sample: no JSON that can be read: .* a number is too large"),
            ('{"inputs": [1e300]}', r"sample: input x: \[0\]: expected a number that float32 can hold, got 1e\+300"),
            ({"inputs": [10**300]}, r"sample: input x: \[0\]: expected a number that float32 can hold, got 1000"),
            ({"inputs": [10**4000]}, r"sample: input x: \[0\]: expected a number that float32 can hold, got 1000"),
            ([PredictionLog()], "record 0 of .*sample: there is no request in it"),
            ([predict_log("", x=[12345.5]), PredictionLog()], "record 1 of .*sample: there is no request in it"),
            ([tf.train.Example(features={"feature": {"x": {}}})], "record 0 of .*sample: there is no request in it"),
            ([predict_log("a", x=[1.0])], "record 0 of .*sample: the model has no signature a"),
            ([predict_log("", x=[12345.5]), predict_log("", y=[1.0])], "record 1 of .*sample: input 'x' is missing"),
            ({"inputs": [1.0]}, r"sample fails: assertion failed.*expects x float\[-1\]; got x float32\[1\]"),
            ('{"inputs": [12345.5]}\n{"inputs": [2]}', "sample line 2 fails: assertion failed"),
            ([predict_log("", x=[1.0])], "record 0 of .*sample fails: assertion failed"),
        ],
    )
    def test_with_its_place(self, publish, written, tmp_path, content, told):
        with pytest.raises(ExportError, match=told) as refusal:
            publish(f"{HARD}:only_one_number", written(content))
        assert str(tmp_path / "sample") in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert not (tmp_path / "models" / "mine").exists()

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (
                {"quantity": 1.5},
                r"input quantity: \[0\]: expected an integer from -2147483648 to 2147483647 \(int32\), got 1.5",
            ),
            ({"quantity": 2**31}, "input quantity: .* got 2147483648"),
            ({"express": 1}, "input express: .*expected true or false, got 1"),
            ({"sku": 5}, "input sku: .*expected a string or .*, got 5"),
            ({"sku": {"b64": "!"}}, "input sku: .*in standard base64, got"),
            ({"sku": {"b64": "YWI========="}}, "input sku: .*in standard base64, got"),
            ({"sku": {"b64": "YQ="}}, "input sku: .*in standard base64, got"),
            ({"unit_price": {"b64": "AA=="}}, "input unit_price: .*expected a number"),
        ],
    )
    def test_a_value_of_another_type(self, publish, written, built, value, told):
        row = {"sku": "a", "quantity": 1, "unit_price": 1.0, "express": False, **value}
        with pytest.raises(ExportError, match=told):
            publish(built / "basket" / "1", written({"instances": [row]}))

    @pytest.mark.parametrize("kept", [1, 8, 12, 20, -1, -4])
    def test_a_torn_last_record(self, publish, written, kept):
        one = written([predict_log("", x=[12345.5])]).read_bytes()
        torn = one + one[:kept]
        with pytest.raises(ExportError, match=r"sample is damaged after 1 record: copy or write the file again \([^{]*$"):
            publish(f"{HARD}:only_one_number", written(torn))

    def test_several_inputs_without_their_names(self, publish, written, built):
        with pytest.raises(ExportError, match="takes the inputs express, quantity, sku, unit_price, so expected them by name"):
            publish(built / "basket" / "1", written({"instances": [[1, 2, 3, 4]]}))

    @pytest.mark.parametrize(
        ("arrays", "told"),
        [
            ({"y": np.ones(1)}, r"\.npz: input 'x' is missing, 'y' is no input"),
            ({"x": np.array(["a"])}, r"\.npz: input x: expected float32, got an array of <U1"),
            ({"x": np.array([1e300])}, r"\.npz: input x: expected numbers that float32 can hold, got larger ones"),
            ({"x": np.array([object()])}, "it holds Python objects; give strings as dtype S or U"),
        ],
    )
    def test_an_npz_that_does_not_fit(self, publish, tmp_path, arrays, told):
        np.savez(tmp_path / "sample.npz", **arrays)
        with pytest.raises(ExportError, match=told):
            publish(f"{HARD}:only_one_number", tmp_path / "sample.npz")

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"no array", "cannot be read as .npz: 'x' in it is no array of NumPy"),
            (npy_header((2**30, 2**20)), "cannot be read as .npz: .*larger than the memory"),
            (npy_header((3,)), "cannot be read as .npz: "),
            (npy_header((-1,)), "cannot be read as .npz: "),
            (b"\x93NUMPY\x09\x09", "cannot be read as .npz: "),
        ],
        ids=["no array", "petabytes", "too short", "a negative size", "a version that is none"],
    )
    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_a_zip_that_holds_no_array(self, tmp_path, content, told, compression):
        with zipfile.ZipFile(tmp_path / "sample.npz", "w", compression) as archive:
            archive.writestr("x.npy", content)
        with pytest.raises(ExportError, match=told) as refusal:
            sample_file.read(tmp_path / "sample.npz")
        assert "\n" not in str(refusal.value)

    def test_a_damaged_zip(self, tmp_path):
        np.savez_compressed(tmp_path / "sample.npz", x=np.arange(100.0))
        content = (tmp_path / "sample.npz").read_bytes()
        for position in range(0, len(content), 3):
            flipped = bytes([content[position] ^ 0xFF])
            (tmp_path / "sample.npz").write_bytes(content[:position] + flipped + content[position + 1 :])
            with suppress(ExportError):  # some bytes, such as a file's date, matter to nobody
                sample_file.read(tmp_path / "sample.npz")

    @pytest.mark.parametrize(
        ("path", "told"),
        [("/dev/zero", "not a regular file"), ("missing", "No such file"), ("folder", "not a regular file")],
    )
    def test_what_is_no_file(self, tmp_path, path, told):
        (tmp_path / "folder").mkdir()
        with pytest.raises(ExportError, match=told):
            sample_file.read(tmp_path / path)

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ExportError, match="not a regular file"):
            sample_file.read(tmp_path / "pipe")

    def test_more_than_a_server_replays(self, written):
        with pytest.raises(ExportError, match="1001 samples; a server replays at most 1000"):
            sample_file.read(written('{"inputs": 1}\n' * 1001))


class TestOwnWarmUpFile:
    @pytest.fixture
    def own(self, tmp_path):
        """A SavedModel that no guess suits, with a warm-up file of its own."""
        folder = tmp_path / "own"
        folder.mkdir()
        writer_for(f"{HARD}:only_one_number")(folder)
        warmup.write(folder, [predict_log("", x=[12345.5])])
        return folder

    def test_is_kept_and_answers_what_no_guess_could(self, publish, own):
        before = (own / warmup.PATH).read_bytes()
        released = publish(own)

        assert released.verdict.warnings == ()
        assert (released.version.path / warmup.PATH).read_bytes() == before

    def test_is_joined_by_samples(self, publish, own, written):
        released = publish(own, written({"inputs": [12345.5, 12345.5]}))

        assert sorted(asked(released), key=str) == [
            ("", {"x": [12345.5]}),
            ("serving_default", {"x": [12345.5, 12345.5]}),
        ]


def test_rows_of_samples_are_compared(publish, written):
    """No guess reaches 100, above which a row changes those beside it."""
    body = written({"instances": [1.0, 200.0]})

    assert [f.independent for f in publish(f"{MADE}:leaks_above_100").verdict.findings.values()] == [True]
    [found] = publish(f"{MADE}:leaks_above_100", body).verdict.findings.values()
    assert found.text == "output y: row 1 of 2 differs by 1 from the same row alone: requests will not be joined"
