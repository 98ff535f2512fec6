"""Output tensors in TensorFlow Serving's JSON."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.api.tfserving.answer import predict_answer
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from tests.gateway.api.bodies import dump_simple

INF, NAN = math.inf, math.nan


def strings(*items, shape=(-1,)):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


INTEGERS = [dtype for dtype in dtypes.DTYPES if dtype.numpy.kind in "iu" and dtype != dtypes.UINT16]


NO_FORM = [dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16, dtypes.COMPLEX64, dtypes.COMPLEX128]


# the outputs, the text of "outputs" for a columnar request
VALUES = {
    "float": (
        np.float32([0.1, 1 / 3, 16777216, 3.4028235e38, 1e-45, -0.0]),
        "[0.1,0.33333334,16777216.0,3.4028235e+38,1e-45,-0.0]",
    ),
    "double": (np.float64([0.1, 1 / 3, 1e21, 5e-324]), "[0.1,0.3333333333333333,1e+21,5e-324]"),
    "float that is not finite": (np.float32([[1, NAN], [INF, -INF]]), "[[1.0,NaN],[Infinity,-Infinity]]"),
    "double that is not finite": (np.array(-INF), "-Infinity"),
    "bool": (np.array([True, False]), "[true,false]"),
    "scalar": (np.array(2.5, np.float32), "2.5"),
    "integer scalar": (np.array(3), "3"),
    "string scalar": (strings(b"a", shape=()), '"a"'),
    "empty": (np.zeros((0, 2), np.float32), "[]"),
    "empty rows": (np.zeros((2, 0), np.float32), "[[],[]]"),
    "empty strings": (strings(shape=(2, 0)), "[[],[]]"),
    "strings": (
        strings(b'a"\\', "caf\u00e9/".encode(), b"\n\x01", b"", b"null", b"a\x00"),
        '["a\\"\\\\","caf\u00e9/","\\n\\u0001","","null","a\\u0000"]',
    ),
    "strings that are not UTF-8": (strings(b"ok", b"\xff\xef"), '["ok",{"b64":"/+8="}]'),
    "string matrix": (strings(b"a", b"b", b"c", b"d", shape=(2, 2)), '[["a","b"],["c","d"]]'),
    "transposed": (np.arange(6).reshape(2, 3).T, "[[0,3],[1,4],[2,5]]"),
    "half without elements": (np.zeros((1, 0), np.float16), "[[]]"),
}


@pytest.mark.parametrize(("array", "text"), VALUES.values(), ids=VALUES.keys())
def test_columnar_answer_has_the_bare_value_of_one_output(array, text):
    assert predict_answer({"y": array}, row=False).decode() == f'{{"outputs":{text}}}'


@pytest.mark.parametrize(("array", "text"), VALUES.values(), ids=VALUES.keys())
def test_row_answer_has_the_bare_values_of_one_output(array, text):
    if array.ndim:
        assert predict_answer({"y": array}, row=True).decode() == f'{{"predictions":{text}}}'


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_plain_over_their_whole_range(dtype):
    bounds = np.iinfo(dtype.numpy)
    text = f"[{bounds.min},{bounds.max}]"
    array = np.array([bounds.min, bounds.max], dtype.numpy)
    assert predict_answer({"y": array}, row=True).decode() == f'{{"predictions":{text}}}'
    assert dump_simple({"y": array}).decode() == text


def test_every_dtype_is_written_or_refused():
    for dtype in dtypes.DTYPES:
        array = strings(b"x") if dtype == dtypes.STRING else np.zeros(1, dtype.numpy)
        if dtype in NO_FORM:
            with pytest.raises(InvalidArgument, match=f"^Failed to write JSON value for tensor type: {dtype}$"):
                predict_answer({"y": array}, row=True)
        else:
            assert "predictions" in json.loads(predict_answer({"y": array}, row=True))


OUTPUTS = {
    "n": np.array([1, 2], np.int32),
    "f": np.float32([[1, NAN], [-INF, 0.1]]),
    "s": strings(b"a", b"null"),
    "s_bytes": strings(b"hello", b""),
    "flag": np.array([True, False]),
}


def test_several_outputs_are_one_object_for_each_example_in_row_format():
    assert predict_answer(OUTPUTS, row=True).decode() == (
        '{"predictions":[{"n":1,"f":[1.0,NaN],"s":"a","s_bytes":{"b64":"aGVsbG8="},"flag":true},'
        '{"n":2,"f":[-Infinity,0.1],"s":"null","s_bytes":{"b64":""},"flag":false}]}'
    )


def test_several_outputs_are_one_object_in_columnar_format():
    assert predict_answer(OUTPUTS, row=False).decode() == (
        '{"outputs":{"n":[1,2],"f":[[1.0,NaN],[-Infinity,0.1]],"s":["a","null"],"s_bytes":[{"b64":"aGVsbG8="},{"b64":""}],"flag":[true,false]}}'
    )


def test_the_bytes_suffix_means_nothing_for_numbers():
    assert predict_answer({"n_bytes": np.array([1])}, row=True) == b'{"predictions":[1]}'


def test_no_examples_are_no_predictions():
    assert predict_answer({"a": np.zeros((0, 2)), "b": strings(shape=(0,))}, row=True) == b'{"predictions":[]}'


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.array(1)}, "Tensor name: y has no shape information "),
        ({"a": np.zeros(2), "y": np.array(1)}, "Tensor name: y has no shape information "),
        ({"a": np.zeros(2), "b": np.zeros((3, 1))}, "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
        ({"a": np.zeros((0, 2)), "b": strings(b"x")}, "Tensor name: b has inconsistent batch size: 1 expecting: 0"),
        ({"a": np.zeros(2), "b": np.zeros(3, np.float16)}, "Tensor name: b has inconsistent batch size: 3 expecting: 2"),
    ],
)
def test_outputs_that_make_no_rows_are_refused_in_upstreams_words(outputs, text):
    with pytest.raises(InvalidArgument) as refusal:
        predict_answer(outputs, row=True)
    assert refusal.value.message == text


@given(hnp.arrays(np.float32, st.integers(1, 4)) | hnp.arrays(np.float64, st.integers(1, 4)))
def test_floats_read_back_to_the_same_value_in_their_dtype(array):
    for is_row in (True, False):
        (values,) = json.loads(predict_answer({"y": array}, is_row)).values()
        assert np.array_equal(np.array(values, dtype=array.dtype), array, equal_nan=True)
        assert all(isinstance(value, float) for value in values)
