"""Tables hold what the log holds: the same values, under the signature's names, in each of the formats."""

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.inference.dtypes import COMPLEX64, COMPLEX128, DTYPES, STRING
from gateway.prediction_log import tensors
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.tables.files import write_instances, write_requests
from gateway.prediction_log.offline.tables.labels import Labelled
from tests.gateway.prediction_log.making import a_row
from tests.gateway.prediction_log.offline.reading import plain, rows_of

FORMATS = ["parquet", "jsonl", "csv"]
NAMES = st.text("abcxyz_AZ09-/é ", min_size=1, max_size=6)


def strings(members, shape):
    array = np.empty(len(members), object)
    array[:] = members
    return array.reshape(shape)


def a_request(inputs=None, outputs=None, rows=1, labels=None, whole=True, **changes):
    encoded = {
        "inputs": tensors.encode(inputs, whole) if inputs is not None else None,
        "outputs": tensors.encode(outputs, whole) if outputs is not None else None,
    }
    return Labelled(a_row(rows=rows, **encoded | changes), labels or {})


def exported(folder, form, *requests, most=None):
    path = Path(folder) / f"table.{form}"
    count, _ = write_instances(path, form, requests, most)
    found = rows_of(path)
    assert len(found) == count
    return found


def parquet_types(folder, *requests):
    exported(folder, "parquet", *requests)
    return {field.name: str(field.type) for field in pq.read_schema(Path(folder) / "table.parquet")}


@st.composite
def tensors_of(draw, dtype, shape):
    count = math.prod(shape)
    if dtype is STRING:
        return strings(
            draw(st.lists(st.binary(max_size=5) | st.text(max_size=4).map(str.encode), min_size=count, max_size=count)), shape
        )
    bits = draw(st.binary(min_size=count * dtype.numpy.itemsize, max_size=count * dtype.numpy.itemsize))
    if dtype.name == "bool":
        bits = bytes(byte & 1 for byte in bits)
    return np.frombuffer(bits, dtype.numpy).reshape(shape)


@st.composite
def requests_of_one_signature(draw):
    """Some requests for a random signature, with up to three rows each."""

    def side():
        specs = st.tuples(st.sampled_from(DTYPES), st.sampled_from([(), (1,), (3,), (2, 2), (0,), (70,)]))
        return draw(st.dictionaries(NAMES, specs, max_size=2))

    signature = (side(), side())
    requests = []
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(1, 3))
        inputs, outputs = (
            {name: draw(tensors_of(dtype, (rows, *shape))) for name, (dtype, shape) in specs.items()} for specs in signature
        )
        requests.append(a_request(inputs, outputs, rows, request_id=f"r{number}", ts=number))
    return requests


def expected_instances(requests):
    """What the tables must hold besides the fixed columns, made without the code that is tested."""
    texts = {}
    lines = []
    for row, _ in requests:
        for side, data in (("in", row.inputs), ("out", row.outputs)):
            for name, array in tensors.decode(data).items():
                if array.dtype == object and array.size and math.prod(array.shape[1:]) <= 64:
                    texts[side, name] = texts.get((side, name), True) and all(map(is_utf8, array.ravel()))
    for row, _ in requests:
        for i in range(row.rows):
            line = {}
            for side, data in (("in", row.inputs), ("out", row.outputs)):
                for name, array in tensors.decode(data).items():
                    line |= columns_of(f"{side}.{name}", array[i], texts.get((side, name)))
            lines.append(line)
    return lines


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def columns_of(base, instance, is_text):
    flat = np.asarray(instance).reshape(-1)
    if isinstance(instance, bytes):
        flat = strings([instance], (1,))
    if flat.size > 64:
        return {f"{base}.shape": f"[{flat.size}]"} | ({} if flat.dtype == object else {f"{base}.bytes": flat.tobytes()})
    line = {}
    for k, value in enumerate(flat.tolist()):
        name = base if flat.size == 1 else f"{base}.{k}"
        if isinstance(value, complex):
            line |= {f"{name}.real": value.real, f"{name}.imag": value.imag}
        elif isinstance(value, bytes):
            line[name] = value.decode() if is_text else value
        else:
            line[name] = value
    return line


@np.errstate(over="ignore")
def same(got, wanted):
    """A float32 may be another double that reads as the same float32."""
    if type(got) is not type(wanted):
        return False
    if not isinstance(wanted, float) or got == wanted or math.isnan(wanted):
        return got == wanted or (got != got and wanted != wanted)  # noqa: PLR0124
    return float(np.float32(wanted)) == wanted == float(np.float32(got))


@pytest.mark.parametrize("form", FORMATS)
@given(requests=requests_of_one_signature())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_every_instance_comes_back_under_the_names_of_any_signature(tmp_path_factory, form, requests):
    folder = tmp_path_factory.getbasetemp()
    got = exported(folder, form, *requests)
    wanted = expected_instances(requests)
    assert len(got) == len(wanted)
    for line, expected in zip(got, wanted, strict=True):
        for name, value in expected.items():
            there = value if form == "parquet" else plain(value)
            assert same(line[name], there), (name, line[name], there)
        others = {name for name in line if name.startswith(("in.", "out."))} - set(expected)
        assert not [
            name for name in others if not name.endswith((".mean", ".std", ".min", ".max", ".nan", ".top1", ".top1_value"))
        ]


@pytest.mark.parametrize("form", FORMATS)
def test_doubles_and_wide_integers_keep_every_bit(tmp_path, form):
    wide = {"d": np.array([0.1 + 0.2]), "u": np.array([2**64 - 1], np.uint64), "i": np.array([-(2**63)])}
    (line,) = exported(tmp_path, form, a_request(wide))
    assert (line["in.d"], line["in.u"], line["in.i"]) == (0.1 + 0.2, 2**64 - 1, -(2**63))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_float32_is_written_as_short_as_it_can_be_read(tmp_path, form):
    exported(tmp_path, form, a_request({"x": np.array([0.1], np.float32)}))
    text = (tmp_path / f"table.{form}").read_text()
    assert "0.1" in text
    assert "0.10000000149" not in text


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype not in (COMPLEX64, COMPLEX128)], ids=str)
def test_parquet_has_the_types_of_the_signature(tmp_path, dtype):
    array = strings([b"a"], (1,)) if dtype is STRING else np.zeros(1, dtype.numpy)
    expected = {"double": "double", "half": "float", "bfloat16": "float", "string": "string"}.get(dtype.name, dtype.name)
    types = parquet_types(tmp_path, a_request({"x": array}))
    assert types["in.x"] == expected
    field = pq.read_schema(tmp_path / "table.parquet").field("in.x")
    assert field.metadata[b"dtype"].decode() == dtype.name


def test_the_fixed_columns_tell_where_a_row_comes_from(tmp_path):
    request = a_request({"x": np.zeros((2, 1))}, rows=2, ts=1_795_694_400_000_001, sample_rate=0.25, key="anna", rollout="r7")
    types = parquet_types(tmp_path, request)
    assert types["ts"] == "timestamp[us, tz=UTC]"
    assert types["weight"] == "double"
    lines = exported(tmp_path, "jsonl", request)
    assert [line["row"] for line in lines] == [0, 1]
    assert lines[0] == {
        "ts": "2026-11-26T12:00:00.000001Z",
        "request_id": "r-1",
        "row": 0,
        "model": "digits",
        "version": 3,
        "signature": "serving_default",
        "arm": "stable",
        "rollout": "r7",
        "key": "anna",
        "status": 200,
        "weight": 4.0,
        "in.x": 0.0,
    }


def test_scores_have_their_best_class_and_its_value(tmp_path):
    scores = np.array([[0.1, 0.7, 0.2], [np.nan, 0.4, 0.6], [np.nan] * 3, [np.nan, -np.inf, -np.inf]], np.float32)
    large = np.zeros((4, 100), np.float32)
    large[:, 42] = 2
    lines = exported(tmp_path, "jsonl", a_request({"x": large}, {"p": scores, "q": large, "n": np.zeros((4, 3), int)}, rows=4))
    assert [line.get("out.p.top1") for line in lines] == [1, 2, None, 1]
    assert [line.get("out.p.top1_value") for line in lines] == [0.7, 0.6, None, "-Infinity"]
    assert [(line["out.q.top1"], line["out.q.top1_value"]) for line in lines] == [(42, 2.0)] * 4
    assert not any(name.startswith(("in.x.top1", "out.n.top1")) for name in lines[0])


def test_a_large_tensor_has_shape_bytes_and_summary_of_each_instance(tmp_path):
    image = np.arange(2 * 10 * 10, dtype=np.uint8).reshape(2, 10, 10)
    lines = exported(tmp_path, "parquet", a_request({"image": image}, rows=2))
    for i in range(2):
        found = {name.removeprefix("in.image."): value for name, value in lines[i].items() if name.startswith("in.")}
        one = image[i].astype(float)
        assert found.pop("std") == pytest.approx(one.std())
        assert found == {
            "shape": "[10,10]",
            "bytes": image[i].tobytes(),
            "mean": one.mean(),
            "min": one.min(),
            "max": one.max(),
            "nan": 0,
        }


def test_the_summary_of_a_request_is_that_of_its_one_instance_and_of_none_of_several(tmp_path):
    one = a_request({"x": np.arange(100.0).reshape(1, 100)}, whole=False)
    several = a_request({"x": np.arange(200.0).reshape(2, 100)}, rows=2, whole=False)
    first, second, third = exported(tmp_path, "jsonl", one, several)
    assert (first["in.x.shape"], first["in.x.mean"], first["in.x.max"], first["in.x.nan"]) == ("[100]", 49.5, 99.0, 0)
    assert "in.x.bytes" not in first
    assert second["in.x.shape"] == third["in.x.shape"] == "[100]"
    assert not {"in.x.mean", "in.x.nan"} & second.keys()


def test_a_tensor_without_rows_belongs_to_every_instance(tmp_path):
    lines = exported(
        tmp_path, "jsonl", a_request({"x": np.zeros((3, 1))}, {"loss": np.float32([[7, 8]]), "s": np.array(5)}, rows=3)
    )
    assert [(line["out.loss.0"], line["out.loss.1"], line["out.s"]) for line in lines] == [(7.0, 8.0, 5)] * 3


def test_a_request_without_a_number_of_rows_is_one_instance(tmp_path):
    (line,) = exported(tmp_path, "jsonl", a_request({"x": np.array(1), "y": np.array([1, 2])}, rows=None))
    assert (line["in.x"], line["in.y.0"], line["in.y.1"]) == (1, 1, 2)


def test_a_request_that_was_refused_before_it_had_rows_is_no_instance(tmp_path):
    assert exported(tmp_path, "jsonl", a_request(rows=None, status=400)) == []
    assert exported(tmp_path, "parquet", a_request(rows=None, status=400)) == []


def test_rows_of_other_lengths_share_their_first_columns(tmp_path):
    requests = [a_request({"x": np.arange(n).reshape(1, n)}) for n in (2, 12, 1, 0)]
    for form in FORMATS:
        lines = exported(tmp_path, form, *requests)
        assert [[line.get(f"in.x.{i}") for i in range(12)] for line in lines] == [
            [*range(n), *[None] * (12 - n)] for n in (2, 12, 1, 0)
        ]
    names = [name for name in pq.read_schema(tmp_path / "table.parquet").names if name.startswith("in.")]
    assert names == [f"in.x.{i}" for i in range(12)]


def test_strings_are_text_unless_one_is_not_utf8(tmp_path):
    text, other = strings([b"caf\xc3\xa9"], (1,)), strings([b"\xff"], (1,))
    assert parquet_types(tmp_path, a_request({"a": text}), a_request({"b": other}))["in.a"] == "string"
    assert parquet_types(tmp_path, a_request({"a": text}), a_request({"a": other}))["in.a"] == "binary"
    assert [line["in.a"] for line in exported(tmp_path, "parquet", a_request({"a": text}), a_request({"a": other}))] == [
        b"caf\xc3\xa9",
        b"\xff",
    ]
    assert [line["in.a"] for line in exported(tmp_path, "csv", a_request({"a": text}), a_request({"a": other}))] == [
        "Y2Fmw6k=",
        "/w==",
    ]


@pytest.mark.parametrize(
    ("labels", "kind", "values"),
    [
        (["7", "3"], "int64", [7, 3]),
        (["7", "0.5"], "double", [7.0, 0.5]),
        (["true", "false"], "bool", [True, False]),
        (['"cat"', '"dog"'], "string", ["cat", "dog"]),
        (['"cat"', "3"], "string", ['"cat"', "3"]),
        (["[1,2]", '{"a":1}'], "string", ["[1,2]", '{"a":1}']),
        (["true", "1"], "string", ["true", "1"]),
        (["1", "18446744073709551617"], "string", ["1", "18446744073709551617"]),
        (["1", "9007199254740993"], "int64", [1, 9007199254740993]),
        (["0.5", "9007199254740993"], "string", ["0.5", "9007199254740993"]),
    ],
)
def test_labels_have_the_type_that_all_of_them_have(tmp_path, labels, kind, values):
    request = a_request(
        {"x": np.zeros((3, 1))},
        rows=3,
        labels={0: labels[0], 2: labels[1], 9: '["stray"]'},  # there is no row 9
    )
    assert parquet_types(tmp_path, request)["label"] == kind
    assert [line.get("label") for line in exported(tmp_path, "parquet", request)] == [values[0], None, values[1]]


def test_a_label_that_a_limit_leaves_out_has_no_say_in_the_type(tmp_path):
    request = a_request({"x": np.zeros((2, 1))}, rows=2, labels={0: "7", 1: '"cat"'})
    assert [line["label"] for line in exported(tmp_path, "csv", request, request, most=1)] == [7]


def test_json_lines_have_labels_as_the_json_that_they_are(tmp_path):
    request = a_request({"x": np.zeros((2, 1))}, rows=2, labels={0: '{"a":[1,null]}', 1: '"cat"'})
    assert [line["label"] for line in exported(tmp_path, "jsonl", request)] == [{"a": [1, None]}, "cat"]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"x": np.zeros((1, 1), np.float32)}, {"x": np.zeros((1, 1), int)}, "float 'x' of digits/3 and int64 'x' of sums/1"),
        ({"x": np.zeros((1, 2))}, {"x.0": np.zeros((1, 1))}, "double 'x' of digits/3 and double 'x.0' of sums/1"),
    ],
)
def test_two_tensors_for_one_column_are_an_error_that_names_both(tmp_path, one, other, said):
    with pytest.raises(ExportFailure) as failure:
        exported(tmp_path, "jsonl", a_request(one), a_request(other, model="sums", version=1))
    assert said in str(failure.value)
    assert "--model" in str(failure.value)


def test_a_limit_cuts_within_a_request(tmp_path):
    requests = [a_request({"x": np.arange(3).reshape(3, 1)}, rows=3, request_id=f"r{n}") for n in range(5)]
    lines = exported(tmp_path, "csv", *requests, most=4)
    assert [(line["request_id"], line["row"], line["in.x"]) for line in lines] == [
        ("r0", 0, 0),
        ("r0", 1, 1),
        ("r0", 2, 2),
        ("r1", 0, 0),
    ]


def test_columns_of_what_a_limit_leaves_out_do_not_matter(tmp_path):
    clash = [a_request({"x": np.zeros((1, 1), np.float32)}), a_request({"x": np.zeros((1, 1), int)})]
    assert len(exported(tmp_path, "jsonl", *clash, most=1)) == 1


def test_row_groups_have_65536_rows(tmp_path):
    requests = (a_request({"x": np.arange(1000.0)}, rows=1000) for _ in range(150))
    assert write_instances(tmp_path / "t.parquet", "parquet", requests, None) == (150_000, 0)
    file = pq.ParquetFile(tmp_path / "t.parquet")
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [65_536, 65_536, 150_000 - 2 * 65_536]
    assert groups[0].column(0).compression == "ZSTD"
    assert file.read(["in.x"])["in.x"].to_pylist() == [float(i) for i in range(1000)] * 150


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_for_each_request_has_all_columns_of_the_log(tmp_path, form):
    inputs = {
        "x": np.array([[0.5, np.nan]], np.float32),
        "b": np.array([np.inf], ml_dtypes.bfloat16),
        "text": strings([b"a"], (1,)),
    }
    request = a_request(
        inputs, None, labels={0: "7", 1: '"cat"'}, digest=b"\x01\x02", sample_rate=0.5, status=503, error="UNAVAILABLE"
    )
    path = tmp_path / f"t.{form}"
    assert write_requests(path, form, [request, request, request], 2) == (2, 0)
    row, _ = rows_of(path)
    read = (lambda value: value) if form == "jsonl" else json.loads
    assert read(row["inputs"]) == {"x": [[0.5, "NaN"]], "b": ["Infinity"], "text": ["a"]}
    assert read(row["labels"]) == {"0": 7, "1": "cat"}
    assert (row["digest"], row["weight"], row["error"], row["truncated"], row["total_us"]) == (
        "0102",
        2.0,
        "UNAVAILABLE",
        False,
        3200,
    )
    assert "outputs" not in row
