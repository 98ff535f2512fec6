"""What /predict accepts, as which tensors."""

import ml_dtypes
import numpy as np
import pytest

from gateway.api.simple.body import load_example
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
from gateway.inference.signature import Signature, TensorSpec
from tests.gateway.api.signatures import signature

F32_MAX = float(np.finfo(np.float32).max)


INF, NAN = float("inf"), float("nan")


# dtype, JSON of a list, the list that the tensor then holds, where a model takes one list of free length
STRICT = [
    (FLOAT, "[1, 2.5, -0.0, 3.4028235e38, 1e-60]", [1.0, 2.5, -0.0, F32_MAX, 0.0]),
    (DOUBLE, "[1.7976931348623157e308, 1]", [1.7976931348623157e308, 1.0]),
    (HALF, "[0.5, 65504, 65519, -2]", [0.5, 65504.0, 65504.0, -2.0]),
    (BFLOAT16, "[0.5, 3, 3.3e38]", [0.5, 3.0, float(ml_dtypes.bfloat16(3.3e38))]),
    (INT8, "[127, -128]", [127, -128]),
    (INT16, "[32767, -32768]", [32767, -32768]),
    (INT32, "[2147483647, -2147483648]", [2**31 - 1, -(2**31)]),
    (INT64, "[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
    (UINT8, "[0, 255]", [0, 255]),
    (UINT16, "[0, 65535]", [0, 65535]),
    (UINT32, "[0, 4294967295]", [0, 2**32 - 1]),
    (UINT64, "[0, 18446744073709551615]", [0, 2**64 - 1]),
    (BOOL, "[true, false]", [True, False]),
    (STRING, '["caf\u00e9", {"b64": "/+8="}]', [b"caf\xc3\xa9", b"\xff\xef"]),
]


def ids(rows):
    return [f"{dtype}-{text}" for dtype, text, _ in rows]


def assert_holds(tensor, dtype, values, shape):
    assert tensor.dtype == dtype.numpy
    assert tensor.shape == shape
    assert str(tensor.ravel().tolist()) == str(values), "also tells NaN, -0.0 and types"


@pytest.mark.parametrize(("dtype", "text", "values"), STRICT, ids=ids(STRICT))
def test_simple_takes_every_value_that_the_dtype_holds(dtype, text, values):
    loaded = load_example(parse_json(f'{{"data": {text}}}'.encode()), signature(x=(dtype, (None, None))))
    assert_holds(loaded["x"], dtype, values, (1, len(values)))


def test_every_dtype_is_covered():
    strict = {dtype for dtype, _, _ in STRICT}
    assert strict | {dtypes.COMPLEX64, dtypes.COMPLEX128} == set(dtypes.DTYPES)


@pytest.mark.parametrize("dtype", [COMPLEX64, dtypes.COMPLEX128], ids=str)
def test_simple_says_that_complex_has_no_form(dtype):
    with pytest.raises(Unimplemented, match=f"^the input x is {dtype}, which has no JSON form$"):
        load_example({"x": 1}, signature(x=(dtype, None)))


def test_dtype_that_is_no_array_is_refused_like_complex():
    model = signature(x=(DType("resource", None), ()))
    with pytest.raises(Unimplemented, match=r"^the input x is resource, which has no JSON form$"):
        load_example({"x": 1}, model)


X = signature(x=(INT32, (None, 3)))


AB = signature(a=(INT32, (None,)), b=(INT32, (None, 1)))


S = signature(s=(STRING, (None,)))


SIMPLE_SHAPES = [
    ({"x": [1, 2, 3]}, X, {"x": (1, 3)}),
    ({"data": [1, 2, 3]}, X, {"x": (1, 3)}),
    ({"a": 1, "b": [2]}, AB, {"a": (1,), "b": (1, 1)}),
    ({"data": 1}, signature(data=(INT32, (None,))), {"data": (1,)}),
    ({"x": 1}, signature(x=(INT32, ())), {"x": ()}),
    ({"x": [1, 2]}, signature(x=(INT32, (2,))), {"x": (2,)}),
    ({"x": [[1], [2]]}, signature(x=(INT32, None)), {"x": (2, 1)}),
    ({"x": [[1, 2], [3, 4]]}, signature(x=(INT32, (None, None, 2))), {"x": (1, 2, 2)}),
    ({"x": []}, signature(x=(INT32, (None, None))), {"x": (1, 0)}),
    ({"x": []}, signature(x=(INT32, (None, None, 3))), {"x": (1, 0, 3)}),
    ({"x": [[], []]}, signature(x=(INT32, (None, 2, None, 3))), {"x": (1, 2, 0, 3)}),
    ({"data": {"b64": "aGk="}}, S, {"s": (1,)}),
    ({}, signature(x=(INT32, (None,), True)), {}),
    ({"x": 1}, signature(x=(INT32, (None,), True), y=(FLOAT, (None,), True)), {"x": (1,)}),
    ({}, signature(), {}),
]


@pytest.mark.parametrize(("document", "model", "expected"), SIMPLE_SHAPES, ids=str)
def test_simple_body_is_one_example_and_gets_the_batch_dimension_that_is_free(document, model, expected):
    assert {name: tensor.shape for name, tensor in load_example(document, model).items()} == expected


@pytest.mark.parametrize(
    "name", ["Meta", "fields", "load", "_schema", "a.b", "a/b", "class", "", "data", "caf\u00e9", "unknown"]
)
def test_an_input_may_have_any_name(name):
    model = Signature("s", "tensorflow/serving/predict", (TensorSpec(name, INT32, (None,)),), ())
    assert load_example({name: 7}, model)[name].tolist() == [7]
    with pytest.raises(InvalidArgument) as refusal:
        load_example({name: 7.5}, model)
    assert refusal.value.problems[0].pointer == "/" + name.replace("/", "~1")
