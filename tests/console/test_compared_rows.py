"""What the page's modules for comparisons make of single values, in the browser."""

import io
import json

import numpy as np
import pytest

from gateway.backend.stubs import TensorProto
from gateway.backend.tensor_proto import encode_tensor
from gateway.inference.dtypes import BY_NAME
from gateway.prediction_log.offline.records.crc32c import masked_crc32c
from gateway.prediction_log.offline.records.tf_records import write_record

X = {"name": "x", "dtype": "float", "shape": [-1, 2]}
COUNT = {"name": "count", "dtype": "int64", "shape": [-1]}
Y = {"name": "y", "dtype": "float", "shape": [-1, 2]}
ONE = {"inputs": [X], "outputs": [Y]}
TWO = {"inputs": [X, COUNT], "outputs": [Y]}
WORD = {"inputs": [{"name": "word", "dtype": "string", "shape": [-1]}], "outputs": [Y]}
FIXED = {"inputs": [{"name": "a", "dtype": "float", "shape": [2]}], "outputs": [Y]}

ROWS = {
    "a body in row form": (ONE, '{"instances": [[1, 2], [3.5, 4]]}', [{"x": ["1", "2"]}, {"x": ["3.5", "4"]}]),
    "a body with named rows": (ONE, '{"instances": [{"x": [1, 2]}]}', [{"x": ["1", "2"]}]),
    "a body in column form": (ONE, '{"inputs": {"x": [[1, 2], [3, 4]]}}', [{"x": ["1", "2"]}, {"x": ["3", "4"]}]),
    "a body whose only input is bare": (ONE, '{"inputs": [[1, 2]]}', [{"x": ["1", "2"]}]),
    "an example": (TWO, '{"x": [1, 2], "count": 9007199254740993}', [{"x": ["1", "2"], "count": "9007199254740993"}]),
    "a bare row": (ONE, "[1, NaN]", [{"x": ["1", "NaN"]}]),
    "words for what is no finite number": (ONE, '["-Infinity", "NaN"]', [{"x": ["-Infinity", "NaN"]}]),
    "columns with dots": (ONE, '{"in.x.0": 1, "in.x.1": 2, "out.y": 3}', [{"x": ["1", "2"]}]),
    "columns with brackets": (ONE, '{"input.x[0]": "1", "input.x[1]": "2"}', [{"x": ["1", "2"]}]),
    "little-endian bytes": (ONE, '{"in.x.bytes": "AACAPwAAAEA=", "in.x.shape": "[2]"}', [{"x": ["1", "2"]}]),
    "text": (WORD, '{"word": "5"}', [{"word": '"5"'}]),
    "bytes": (WORD, '{"instances": [{"b64": "/w=="}]}', [{"word": '{"b64":"/w=="}'}]),
    "no free dimension": (FIXED, '{"inputs": {"a": [1, 2]}}', [{"a": ["1", "2"]}]),
    "no free dimension, an example": (FIXED, '{"a": [1, 2]}', [{"a": ["1", "2"]}]),
}

REFUSED = {
    "an input that is missing": (TWO, '{"x": [1, 2]}', 'count: expected a value, got {"x":[1,2]}'),
    "too few elements": (ONE, '{"x": [1]}', "x: expected 2 elements, got 1"),
    "too many columns": (ONE, '{"x.0": 1, "x.1": 2, "x.2": 3}', "x: expected the shape [2], got 3 elements"),
    "text for a number": (ONE, '{"x": [1, "b"]}', 'x[1]: expected a number (float), got "b"'),
    "a float for a whole number": (TWO, '{"x": [1, 2], "count": 1.5}', 'count: expected a whole number (int64), got "1.5"'),
    "inputs of two lengths": (
        TWO,
        '{"inputs": {"x": [[1, 2]], "count": [1, 2]}}',
        "count: expected a list of 1 rows, got [1,2]",
    ),
    "no rows": (ONE, '{"instances": []}', "x: expected a list of some rows, got []"),
    "a summary of a tensor": (
        ONE,
        '{"inputs": {"x": {"dtype": "float", "shape": [1, 2], "mean": 1.5}}}',
        'x: expected a list of some rows, got {"dtype":"float","shape":[1,2],"mean":1.5}',
    ),
}


@pytest.fixture
def module(compared_page):
    """Runs an async function's body with one of the page's modules as ``it``; values go and come as JSON."""

    def run(name, body, *given):
        address = compared_page.module(f"./{name}")
        return compared_page.asynchronous(f"const it = await import(given[0]); {body}", address, *given)

    return run


@pytest.mark.parametrize(("signature", "text", "rows"), ROWS.values(), ids=ROWS)
def test_rows_are_read_from(module, signature, text, rows):
    body = (
        "const json = await import(given[0].replace('files.js', 'json.js')); return it.rowsOf(json.parse(given[1]), given[2])"
    )
    assert module("files.js", body, text, signature) == rows


@pytest.mark.parametrize(("signature", "text", "said"), REFUSED.values(), ids=REFUSED)
def test_rows_are_refused_for(module, signature, text, said):
    body = """const json = await import(given[0].replace('files.js', 'json.js'));
    try { return it.rowsOf(json.parse(given[1]), given[2]); } catch (error) { return error.message; }"""
    assert module("files.js", body, text, signature) == said


READ = """
const stop = new AbortController();
const read = await it.readRows(new File([new Uint8Array(given[2])], given[1]), given[3], () => {}, stop.signal);
return read;
"""


def test_cells_may_hold_commas_quotes_and_line_breaks(module):
    text = 'word,other\r\n"a, ""b""\nc",1\r\n"",2\r\n,3\r\n'
    read = module("files.js", READ, "rows.csv", list(text.encode()), WORD)
    assert [row["values"]["word"] for row in read["rows"]] == ['"a, \\"b\\"\\nc"', '""']
    assert read["left"] == {"count": 1, "told": ['line 5: word: expected a value, got {"other":"3"}']}


def test_a_file_is_read_in_slices_whose_borders_cut_lines_and_letters(module):
    values = [f"wörter {i} " + "ä" * (i % 7) for i in range(20_000)]
    text = "".join(f"{json.dumps({'word': value}, ensure_ascii=False)}\n" for value in values[:9000])
    read = module("files.js", READ, "rows.jsonl", list(text.encode()), WORD)
    assert [json.loads(row["values"]["word"]) for row in read["rows"]] == values[:9000]
    assert not read["isCut"]


def test_an_empty_file_has_no_rows(module):
    assert module("files.js", READ, "rows.csv", [], ONE) == {"rows": [], "left": {"count": 0, "told": []}, "isCut": False}


NUMBERS = {
    "float": [0.1, -1.5, float("nan"), float("inf")],
    "double": [0.1, 1e300, float("-inf")],
    "half": [0.5, -2.0, 6e-8, 65504.0, float("inf")],
    "bfloat16": [1.5, -3.0],
    "int8": [-128, 127],
    "int16": [-(2**15), 5],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "uint8": [0, 255],
    "uint16": [65535],
    "uint32": [2**32 - 1],
    "uint64": [2**64 - 1],
    "bool": [True, False],
}
FIELDS = {"float": "float_val", "double": "double_val", "half": "half_val", "bfloat16": "half_val", "bool": "bool_val"}
FIELDS |= {name: f"{name}_val" for name in ("int64", "uint32", "uint64")}


def array_of(dtype):
    return np.array(NUMBERS[dtype]).astype(BY_NAME[dtype].numpy)


def in_content(dtype):
    tensor = TensorProto()
    encode_tensor(array_of(dtype), tensor)
    assert tensor.tensor_content
    return tensor


def in_values(dtype):
    """One by one, and the last for three elements more."""
    array = array_of(dtype)
    tensor = TensorProto(dtype=f"DT_{dtype.upper()}")
    tensor.tensor_shape.dim.add(size=len(array) + 3)
    values = array.view(np.uint16) if FIELDS.get(dtype) == "half_val" else array
    getattr(tensor, FIELDS.get(dtype, "int_val")).extend(values.tolist())
    return tensor


def record(**tensors):
    """A TFRecord of a PredictionLog."""
    from gateway.backend.prediction_logs import PredictionLog

    log = PredictionLog()
    for name, tensor in tensors.items():
        log.predict_log.request.inputs[name].CopyFrom(tensor)
    return a_record(log.SerializeToString())


def a_record(data):
    file = io.BytesIO()
    write_record(file, data)
    return list(file.getvalue())


def as_read(module, data, dtype):
    signature = {"inputs": [{"name": "x", "dtype": dtype, "shape": [-1]}], "outputs": []}
    read = module("files.js", READ, "log", data, signature)
    assert read["left"] == {"count": 0, "told": []}
    return [row["values"]["x"] for row in read["rows"]]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_a_recorded_tensor_has_its_elements(module, dtype):
    array = array_of(dtype)
    found = as_read(module, record(x=in_content(dtype)), dtype)
    assert np.array_equal(np.array([json.loads(text) for text in found]).astype(array.dtype), array, equal_nan=dtype != "bool")
    assert as_read(module, record(x=in_values(dtype)), dtype) == found + found[-1:] * 3


def test_every_dtype_that_json_has_is_tried():
    assert NUMBERS.keys() == BY_NAME.keys() - {"string", "complex64", "complex128"}


def test_recorded_text_is_text_and_other_bytes_are_base64(module):
    tensor = TensorProto(dtype="DT_STRING", string_val=["Wörter".encode(), b"", b"\xff\x00"])
    tensor.tensor_shape.dim.add(size=4)
    assert as_read(module, record(x=tensor), "string") == ['"Wörter"', '""', '{"b64":"/wA="}', '{"b64":"/wA="}']


def test_records_of_something_else_are_left_out_and_the_others_read(module):
    complex_one = TensorProto(dtype="DT_COMPLEX64", scomplex_val=[1, 2])
    complex_one.tensor_shape.dim.add(size=1)
    data = [*record(x=complex_one), *a_record(b""), *record(x=in_content("int8"))]
    signature = {"inputs": [{"name": "x", "dtype": "int8", "shape": [-1]}], "outputs": []}
    read = module("files.js", READ, "log", data, signature)
    assert [row["where"] for row in read["rows"]] == ["record 3, row 0", "record 3, row 1"]
    assert read["left"]["told"] == [
        "record 1: x: expected a dtype of JSON, got number 8",
        "record 2: message: expected a PredictLog, got another one",
    ]


def test_packed_numbers_and_single_ones_are_read_alike(module):
    """Writers of protobuf may do either."""
    single = b"\x08\x09\x12\x04\x12\x02\x08\x02" + b"\x50\x05" + b"\x50" + b"\xff" * 9 + b"\x01"
    tensor = TensorProto.FromString(single)
    assert list(tensor.int64_val) == [5, -1]
    entry = b"\x0a\x01x\x12" + bytes([len(single)]) + single
    request = b"\x12" + bytes([len(entry)]) + entry
    log = b"\x0a" + bytes([len(request)]) + request
    data = a_record(b"\x32" + bytes([len(log)]) + log)
    assert as_read(module, data, "int64") == ["5", "-1"]


def test_a_checksum_is_that_of_tfrecords():
    assert masked_crc32c(bytes(32)) == (((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF)


DIFFERENCE = """
const json = await import(given[0].replace('comparison.js', 'json.js'));
const [a, b] = [json.parse(given[1]), json.parse(given[2])];
const found = it.difference({y: a}, {y: b}, [{name: "y", dtype: given[3]}], {rtol: 0.01, atol: 0.001});
return json.stringify([found.gap, found.relative, found.isBeyond, found.isTopChanged, found.told]);
"""
CASES = {
    "equal": ("[1, 2]", "[1, 2]", "float", (0, 0, False, False, "")),
    "equal without a number": ("[NaN, Infinity]", "[NaN, Infinity]", "float", (0, 0, False, False, "")),
    "zeros of two signs": ("0.0", "-0.0", "float", (0, 0, False, False, "")),
    "within": ("100.0", "101.0", "float", (1, 1 / 101, False, False, "y[]: 100 and 101")),
    "beyond": ("100.0", "101.5", "float", (1.5, 1.5 / 101.5, True, False, "y[]: 100 and 101.5")),
    "a number and none": ("[1, 2.5]", "[1, NaN]", "float", (np.inf, np.inf, True, True, "y[1]: 2.5 and NaN")),
    "one infinity and the other": (
        "Infinity",
        "-Infinity",
        "float",
        (np.inf, np.inf, True, False, "y[]: Infinity and -Infinity"),
    ),
    "an infinity and a number": ("Infinity", "5", "float", (np.inf, np.inf, True, False, "y[]: Infinity and 5")),
    "another top class": (
        "[1.0, 1.001]",
        "[1.001, 1.0]",
        "float",
        (1.001 - 1, (1.001 - 1) / 1.001, False, True, "y[0]: 1 and 1.001"),
    ),
    "whole numbers": ("[1000]", "[1001]", "int32", (1, 1 / 1001, True, False, "y[0]: 1000 and 1001")),
    "large whole numbers": (
        "9007199254740993",
        "9007199254740992",
        "int64",
        (1, 1 / 2**53, True, False, "y[]: 9007199254740993 and 9007199254740992"),
    ),
    "text": ('["a", "b"]', '["a", "c"]', "string", (0, 0, True, True, 'y[1]: "b" and "c"')),
    "bytes": ('[{"b64": "AA=="}]', '[{"b64": "AA=="}]', "string", (0, 0, False, False, "")),
    "truth": ("true", "false", "bool", (1, 1, True, False, "y[]: true and false")),
    "shapes": ("[1, 2]", "[1, 2, 3]", "float", (np.inf, np.inf, True, False, "y: shapes [2] and [3]")),
    "more rows": ("[[1, 2], [4, 3]]", "[[1, 2], [3, 4]]", "float", (1, 0.25, True, True, "y[2]: 4 and 3")),
}


@pytest.mark.parametrize(("a", "b", "dtype", "expected"), CASES.values(), ids=CASES)
def test_two_answers_differ(module, a, b, dtype, expected):
    gap, relative, *rest = json.loads(module("comparison.js", DIFFERENCE, a, b, dtype))
    assert gap == pytest.approx(expected[0], rel=1e-12)
    assert relative == pytest.approx(expected[1], rel=1e-12)
    assert tuple(rest) == expected[2:]


def test_differences_are_counted_by_powers_of_ten(module):
    body = "return it.histogram([0, 0, 1e-3, 9.99e-3, 0.01, Infinity, 1, 5])"
    assert [(one["label"], one["count"]) for one in module("comparison.js", body)] == [
        ("0", 2),
        ("1e-3 to 1e-2", 2),
        ("1e-2 to 1e-1", 1),
        ("1e0 to 1e1", 2),
        ("not finite", 1),
    ]


def test_signatures_that_are_not_alike_are_told(module):
    other = {"inputs": [X], "outputs": [Y | {"dtype": "double"}, {"name": "z", "dtype": "int64", "shape": None}]}
    assert module("comparison.js", "return it.unlike([given[1], given[2]])", ONE, other) == [
        "The outputs differ: y is float[-1,2] in A and double[-1,2] in B.",
        "The outputs differ: z is missing in A and int64[?] in B.",
    ]
