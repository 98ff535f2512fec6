"""What :predict accepts, as which tensors; and the order of TensorFlow Serving's checks."""

import json

import numpy as np
import pytest

from gateway.api.tfserving.body import load_predict_body as load
from gateway.api.tfserving.body import signature_name
from gateway.codec.json_text import parse_json
from gateway.errors import InvalidArgument, Unimplemented
from gateway.inference import dtypes
from gateway.inference.dtypes import (
    BFLOAT16,
    BOOL,
    COMPLEX64,
    DOUBLE,
    FLOAT,
    HALF,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    DType,
)
from gateway.inference.signature import DEFAULT_SIGNATURE, Signature, TensorSpec
from tests.gateway.api.signatures import signature

F32_MAX = float(np.finfo(np.float32).max)


INF, NAN = float("inf"), float("nan")


# dtype, JSON of a list, the list that the tensor then holds: what TensorFlow Serving takes
COMPATIBLE = [
    (FLOAT, "[1, 2.5, -0.0, -0, 1e3]", [1.0, 2.5, -0.0, 0.0, 1000.0]),
    (FLOAT, "[1435774380, 16777217, 0.1]", [1435774336.0, 16777216.0, float(np.float32(0.1))]),
    (FLOAT, "[1.79769e+308, -1.79769e+308, 2.22507e-308, 3.4028235e38]", [INF, -INF, 0.0, F32_MAX]),
    (FLOAT, "[NaN, Infinity, -Infinity]", [NAN, INF, -INF]),
    (FLOAT, "[18446744073709551615, 18446744073709551616]", [2.0**64, 2.0**64]),
    (DOUBLE, "[0.1, 1, 18446744073709551616, 9007199254740993]", [0.1, 1.0, 2.0**64, 2.0**53]),
    (INT8, "[127, -128, 300, -129, 2147483647]", [127, -128, 44, 127, -1]),
    (INT16, "[32767, 70000, -2147483648]", [32767, 4464, 0]),
    (UINT8, "[255, 256, -1]", [255, 0, 255]),
    (INT32, "[2147483647, -2147483648, -0]", [2**31 - 1, -(2**31), 0]),
    (INT64, "[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
    (UINT32, "[0, 4294967295]", [0, 2**32 - 1]),
    (UINT64, "[0, 18446744073709551615]", [0, 2**64 - 1]),
    (BOOL, "[true, false]", [True, False]),
    (STRING, '["", "caf\u00e9", "a\\u0000"]', [b"", b"caf\xc3\xa9", b"a\x00"]),
    (STRING, '["x", {"b64": "/+8="}, {"b64": ""}]', [b"x", b"\xff\xef", b""]),
    (STRING, '[{"b64": "aGVsbG8"}, {"b64": "aGVs bG8\\n="}, {"b64": "aGVsbG8."}, {"b64": "AA.="}]', [b"hello"] * 3 + [b"\x00"]),
]


def ids(rows):
    return [f"{dtype}-{text}" for dtype, text, _ in rows]


def assert_holds(tensor, dtype, values, shape):
    assert tensor.dtype == dtype.numpy
    assert tensor.shape == shape
    assert str(tensor.ravel().tolist()) == str(values), "also tells NaN, -0.0 and types"


@pytest.mark.parametrize(("dtype", "text", "values"), COMPATIBLE, ids=ids(COMPATIBLE))
def test_predict_takes_what_tensorflow_serving_takes_in_both_formats(dtype, text, values):
    for body, is_row in (
        (f'{{"instances": {text}}}', True),
        (f'{{"inputs": {text}}}', False),
        (f'{{"inputs": {{"x": {text}}}}}', False),
    ):
        loaded = load(parse_json(body.encode()), signature(x=(dtype, None)))
        assert loaded.row == is_row
        assert_holds(loaded.tensors["x"], dtype, values, (len(values),))


def test_every_dtype_is_covered():
    without = {HALF, BFLOAT16, UINT16, COMPLEX64, dtypes.COMPLEX128}
    assert {dtype for dtype, _, _ in COMPATIBLE} == set(dtypes.DTYPES) - without


@pytest.mark.parametrize("dtype", [HALF, BFLOAT16, UINT16, COMPLEX64, dtypes.COMPLEX128], ids=str)
def test_dtype_without_conversion_is_501_in_columnar_and_400_in_row_format(dtype):
    model = signature(x=(dtype, None))
    with pytest.raises(Unimplemented, match=f"^Conversion of JSON Value: 1 to type: {dtype}$"):
        load({"inputs": [1]}, model)
    with pytest.raises(InvalidArgument) as refusal:
        load({"instances": [1]}, model)
    text = (
        f"Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: {dtype}"
    )
    assert refusal.value.message.startswith(text)
    assert load({"inputs": []}, model).tensors["x"].dtype == dtype.numpy, "nothing needs conversion"


def test_dtype_that_is_no_array_is_refused_like_one_without_conversion():
    model = signature(x=(DType("resource", None), ()))
    with pytest.raises(Unimplemented, match=r"^Conversion of JSON Value: 1 to type: resource$"):
        load({"inputs": 1}, model)


def shapes(document, model):
    loaded = load(document, model)
    return loaded.row, {name: tensor.shape for name, tensor in loaded.tensors.items()}


X = signature(x=(INT32, (None, 3)))


AB = signature(a=(INT32, (None,)), b=(INT32, (None, 1)))


S = signature(s=(STRING, (None,)))


@pytest.mark.parametrize(
    ("document", "model", "expected"),
    [
        ({"instances": [1]}, X, (True, {"x": (1,)})),
        ({"instances": [[[1, 2]], [[3, 4]]]}, X, (True, {"x": (2, 1, 2)})),
        ({"instances": [[], []]}, X, (True, {"x": (2, 0)})),
        ({"instances": [{"x": 1}, {"x": 2}]}, X, (True, {"x": (2,)})),
        ({"instances": [{"a": 1, "b": [2]}, {"b": [4], "a": 3}]}, AB, (True, {"a": (2,), "b": (2, 1)})),
        ({"instances": [{"b64": "aGk="}, "hi"]}, S, (True, {"s": (2,)})),
        ({"instances": [[{"b64": "aGk="}, "hi"]]}, S, (True, {"s": (1, 2)})),
        ({"instances": [{"s": {"b64": "aGk="}}]}, S, (True, {"s": (1,)})),
        ({"instances": [1], "extra": {"ignored": True}, "signature_name": ""}, X, (True, {"x": (1,)})),
        ({"inputs": 5}, X, (False, {"x": ()})),
        ({"inputs": []}, X, (False, {"x": (0,)})),
        ({"inputs": [[], []]}, X, (False, {"x": (2, 0)})),
        ({"inputs": {"x": 5}}, X, (False, {"x": ()})),
        ({"inputs": {"x": [5], "unknown": "ignored"}}, X, (False, {"x": (1,)})),
        ({"inputs": {"a": [1, 2, 3], "b": [[1], [2]]}}, AB, (False, {"a": (3,), "b": (2, 1)})),
        ({"inputs": "hi"}, S, (False, {"s": ()})),
        ({"inputs": {"b64": "aGk="}}, S, (False, {"s": ()})),
        ({"inputs": {"s": {"b64": "aGk="}}}, S, (False, {"s": ()})),
    ],
    ids=str,
)
def test_predict_takes_any_even_shape(document, model, expected):
    assert shapes(document, model) == expected


def test_row_format_keeps_each_value_with_its_instance_and_input():
    loaded = load({"instances": [{"a": 1, "b": [10]}, {"b": [20], "a": 2}, {"a": 3, "b": [30]}]}, AB)
    assert loaded.tensors["a"].tolist() == [1, 2, 3]
    assert loaded.tensors["b"].tolist() == [[10], [20], [30]]


def test_b64_member_of_an_input_called_b64_is_still_a_b64_object():
    loaded = load({"inputs": {"b64": "aGk="}}, signature(b64=(STRING, None)))
    assert loaded.tensors["b64"].item() == b"hi"


@pytest.mark.parametrize(
    "name", ["Meta", "fields", "load", "_schema", "a.b", "a/b", "class", "", "data", "caf\u00e9", "unknown"]
)
def test_an_input_may_have_any_name(name):
    model = Signature("s", "tensorflow/serving/predict", (TensorSpec(name, INT32, (None,)),), ())
    assert load({"instances": [{name: 7}]}, model).tensors[name].tolist() == [7]
    with pytest.raises(InvalidArgument) as refusal:
        load({"instances": [{name: 7.5}]}, model)
    assert refusal.value.problems[0].pointer == "/instances/0/" + name.replace("/", "~1")


def test_signature_name_is_the_default_one_where_none_is_given():
    assert signature_name({}) == DEFAULT_SIGNATURE
    assert signature_name({"signature_name": ""}) == DEFAULT_SIGNATURE
    assert signature_name({"signature_name": "sizes"}) == "sizes"


def test_image_is_loaded_as_it_was_written():
    pixels = np.random.default_rng(1).random((224, 224, 3)).astype(np.float32)
    body = json.dumps({"instances": [pixels.tolist()]}).encode()
    loaded = load(parse_json(body), signature(x=(FLOAT, (None, 224, 224, 3))))
    assert np.array_equal(loaded.tensors["x"], pixels[np.newaxis])


def dumped(document):
    return json.dumps(document, indent=4)


ENVELOPES = [
    ([1, 2, 3], X, "JSON Value: [1, 2, 3] Is not object"),
    (None, X, "JSON Value: null Is not object"),
    (
        {"signature_name": 100},
        X,
        f"{dumped({'signature_name': 100})} not formatted correctly. 'signature_name' key must be a string value.",
    ),
    ({"signature_name": None, "instances": 1}, X, "'signature_name' key must be a string value."),
    ({}, X, "Missing 'inputs' or 'instances' key"),
    ({"instances": {}}, X, "} Expecting 'instances' to be an list/array"),
    ({"instances": None}, X, "} Expecting 'instances' to be an list/array"),
    ({"instances": []}, X, "} No values in 'instances' array"),
    (
        {"instances": 1, "inputs": 1},
        X,
        "} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
    ),
    ({"instances": [1]}, signature(), "Failed to get input map for signature: DEFAULT"),
    ({"signature_name": "incr", "inputs": 1}, signature(), "Failed to get input map for signature: incr"),
    ({"instances": 1, "inputs": 1}, signature(), "Failed to get input map for signature: DEFAULT"),
    ({"signature_name": 1}, signature(), "'signature_name' key must be a string value."),
    (
        {"instances": [1]},
        AB,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map",
    ),
    (
        {"inputs": [1]},
        AB,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map",
    ),
]


@pytest.mark.parametrize(("document", "model", "text"), ENVELOPES, ids=str)
def test_envelope_is_refused_in_upstreams_order_and_words(document, model, text):
    with pytest.raises(InvalidArgument) as refusal:
        load(document, model)
    assert refusal.value.message.endswith(text)
