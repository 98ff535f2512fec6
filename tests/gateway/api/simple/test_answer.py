"""Output tensors in the JSON of /predict."""

import math

import ml_dtypes
import numpy as np
import orjson
import pytest

from gateway.errors import Unimplemented
from gateway.inference import dtypes
from tests.gateway.api.bodies import dump_simple

INF, NAN = math.inf, math.nan


def strings(*items, shape=(-1,)):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


SIMPLE = {
    "one output": ({"y": np.float32([4.2])}, "[4.2]"),
    "one number": ({"y": np.array(4.2, np.float32)}, "4.2"),
    "several outputs": ({"y": np.array(4.2, np.float32), "s": np.array(b"a", object)}, '{"y":4.2,"s":"a"}'),
    "a row of one number": ({"y": np.float32([[4.2]])}, "[[4.2]]"),
    "not finite": ({"y": np.float32([1, NAN, INF, -INF])}, "[1.0,null,null,null]"),
    "one that is not finite": ({"y": np.array(NAN)}, "null"),
    "half": ({"y": np.float16([0.5, 65504, NAN])}, "[0.5,65504.0,null]"),
    "bfloat16": ({"y": np.array([0.5, 3], ml_dtypes.bfloat16)}, "[0.5,3.0]"),
    "uint16": ({"y": np.array([65535], np.uint16)}, "[65535]"),
    "bool": ({"y": np.array(True)}, "true"),
    "string": ({"y": np.array("caf\u00e9".encode(), object)}, '"caf\u00e9"'),
    "bytes by name": ({"y_bytes": np.array(b"hello", object)}, '{"b64":"aGVsbG8="}'),
    "bytes that are not UTF-8": ({"y": np.array(b"\xff\xef", object)}, '{"b64":"/+8="}'),
    "no outputs": ({}, "{}"),
}


@pytest.mark.parametrize(("outputs", "text"), SIMPLE.values(), ids=SIMPLE.keys())
def test_simple_answer_is_the_bare_value_or_an_object(outputs, text):
    assert dump_simple(outputs).decode() == text


def test_simple_answer_is_legal_json_for_every_dtype():
    for dtype in dtypes.DTYPES:
        array = strings(b"\xff") if dtype == dtypes.STRING else np.zeros(1, dtype.numpy)
        if dtype in (dtypes.COMPLEX64, dtypes.COMPLEX128):
            with pytest.raises(Unimplemented, match=f"^the output y is {dtype}, which has no JSON form$"):
                dump_simple({"y": array})
        else:
            orjson.loads(dump_simple({"y": array}))
