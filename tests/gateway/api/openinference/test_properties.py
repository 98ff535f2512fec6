"""What holds for every tensor and every body: /v2 gives back, bit for bit, what it was sent, or says why not."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.openinference.form import HEADER_LENGTH
from gateway.codec import datatypes
from gateway.codec.datatypes import datatype_of
from gateway.codec.raw_tensor import decode_raw_tensor, encode_raw_tensor
from gateway.inference import dtypes
from tests.gateway.api.arrays import PROTOCOL, bits, identity, objects, tensors

INFER = "/v2/models/any/infer"


@pytest.fixture(scope="module")
def model():
    with identity() as client:
        yield client


def test_every_dtype_but_the_complex_ones_has_a_datatype():
    names = {datatype_of(dtype) for dtype in PROTOCOL}
    assert names == set(datatypes.BY_NAME)
    assert names == {f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)} | {
        "BOOL", "FP16", "FP32", "FP64", "BF16", "BYTES"
    }  # fmt: skip
    assert all(datatype_of(datatypes.BY_NAME[name]) == name for name in names)


def request_for(dtype, array, **changes):
    described = {"name": "x", "datatype": datatype_of(dtype), "shape": list(array.shape)}
    return {"parameters": {"signature_name": dtype.name}, "inputs": [described | changes]}


def json_elements(array):
    """The elements of ``array`` as JSON has them, flat."""
    if array.dtype == object:
        return [item.decode() for item in array.ravel().tolist()]
    return array.ravel().astype(np.float64).tolist() if array.dtype.kind in "fV" else array.ravel().tolist()


def nested(flat, shape):
    return objects(flat, shape).tolist()


def read(output, dtype):
    """The array of an output whose data is JSON."""
    assert output["datatype"] == datatype_of(dtype)
    if dtype == dtypes.STRING:
        return objects([text.encode() for text in output["data"]], output["shape"])
    if dtype.numpy.kind in "fV":
        return np.array(output["data"], np.float64).astype(dtype.numpy).reshape(output["shape"])
    return np.array(output["data"], dtype.numpy).reshape(output["shape"])


@given(tensors(finite=True, elements=st.text(st.characters(codec="utf-8"), max_size=4).map(str.encode)), st.booleans())
def test_a_tensor_comes_back_through_json(model, typed, is_nested):
    dtype, array = typed
    flat = json_elements(array)
    data = nested(flat, array.shape) if is_nested else flat
    response = model.post(INFER, request_for(dtype, array, data=data))
    assert response.status_code == 200, response.text
    (output,) = response.json["outputs"]
    assert bits(read(output, dtype)) == bits(array)


@given(tensors())
def test_a_tensor_comes_back_as_binary_data(model, typed):
    dtype, array = typed
    data = bytes(encode_raw_tensor(array))
    document = request_for(dtype, array, parameters={"binary_data_size": len(data)})
    document["parameters"]["binary_data_output"] = True
    header = json.dumps(document).encode()
    response = model.http.post(INFER, data=header + data, headers={HEADER_LENGTH: str(len(header))})
    assert response.status_code == 200, response.text
    length = int(response.headers[HEADER_LENGTH])
    (output,) = json.loads(response.data[:length])["outputs"]
    assert output["shape"] == list(array.shape)
    assert response.data[length:] == data
    assert bits(decode_raw_tensor(memoryview(data), dtype, array.shape)) == bits(array)


@given(tensors(), st.integers(-3, 3).filter(bool))
def test_a_length_that_is_not_that_of_the_shape_never_reaches_a_backend(model, typed, difference):
    dtype, array = typed
    model.fake.calls.clear()
    count = max(0, math.prod(array.shape) + difference)
    element = {"BYTES": "a", "BOOL": True}.get(datatype_of(dtype), 1)
    if count != math.prod(array.shape) and (array.shape or count != 1):
        response = model.post(INFER, request_for(dtype, array, data=[element] * count))
        assert response.status_code == 400
        assert "/inputs/0/data: expected list of" in response.json["error"]
    data = b"\0" * max(0, len(bytes(encode_raw_tensor(array))) + difference)
    header = json.dumps(request_for(dtype, array, parameters={"binary_data_size": len(data)})).encode()
    if dtype != dtypes.STRING and len(data) != array.nbytes:
        response = model.http.post(INFER, data=header + data, headers={HEADER_LENGTH: str(len(header))})
        assert response.status_code == 400
        assert f"expected {array.nbytes} byte" in response.json["error"]
    assert "Predict" not in model.fake.calls


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["x", "FP32", "BYTES", "INT64", {"b64": "aGk="}])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
SHAPES = st.lists(st.integers(-1, 3) | st.sampled_from([2**31, 2**62, 2**63]), max_size=4)
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "binary_data_output", "signature_name", "classification"]),
    st.integers(-1, 40) | st.booleans() | st.sampled_from(["string", "int32", "bool", "half"]) | VALUES,
    max_size=3,
)


def objects_with(**members):
    """Objects that have some of the members, or other values in their place."""
    return st.fixed_dictionaries({}, optional={name: values | LEAVES for name, values in members.items()})


INPUTS = objects_with(
    name=st.just("x"),
    datatype=st.sampled_from(sorted(datatypes.BY_NAME)),
    shape=SHAPES,
    data=st.lists(LEAVES, max_size=4) | VALUES,
    parameters=PARAMETERS,
)
OUTPUTS = objects_with(name=st.just("x"), parameters=PARAMETERS)
DOCUMENTS = objects_with(
    id=st.text(max_size=3),
    parameters=PARAMETERS,
    inputs=st.lists(INPUTS | VALUES, max_size=3),
    outputs=st.lists(OUTPUTS | VALUES, max_size=3),
)


def assert_answered(response):
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert list(response.json) == ["error"]
        assert len(response.data) < 20_000
        assert response.json["error"]


@given(DOCUMENTS, st.binary(max_size=40), st.booleans())
def test_a_request_of_any_form_is_answered_or_refused(model, document, data, has_header):
    header = json.dumps(document).encode()
    headers = {HEADER_LENGTH: str(len(header))} if has_header else {}
    assert_answered(model.http.post(INFER, data=header + data, headers=headers))


@given(st.binary(max_size=200), st.text(max_size=5) | st.integers(-1, 300).map(str) | st.none())
def test_any_bytes_are_answered_or_refused(model, body, length):
    headers = {} if length is None else {HEADER_LENGTH: "".join(c for c in length if c.isprintable() and c.isascii())}
    assert_answered(model.http.post(INFER, data=body, headers=headers))


@given(st.data())
def test_a_good_request_with_some_bytes_changed_is_answered_or_refused(model, data):
    header = json.dumps(request_for(dtypes.STRING, np.empty(2), parameters={"binary_data_size": 10})).encode()
    body = bytearray(header + b"\1\0\0\0a\1\0\0\0b")
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    assert_answered(model.http.post(INFER, data=bytes(body), headers={HEADER_LENGTH: str(len(header))}))


@given(tensors())
def test_what_is_decoded_owns_no_copy_of_numbers(typed):
    dtype, array = typed
    data = bytes(encode_raw_tensor(array))
    decoded = decode_raw_tensor(memoryview(data), dtype, array.shape)
    if data and dtype != dtypes.STRING:
        assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))
        assert not decoded.flags.writeable
