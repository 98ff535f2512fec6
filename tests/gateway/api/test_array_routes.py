"""npy and npz on /predict and /v1 ...:predict, through the whole application."""

import io

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.arrays import NPY, NPZ
from gateway.backend.stubs import DataType
from gateway.codec.npy import decode_npy, encode_npy
from gateway.codec.npz import pack_npz, unpack_npz
from gateway.inference import dtypes
from tests.gateway.api.arrays import bits, identity, tensors
from tests.gateway.fake_serving import Version, signature

V1 = "/v1/models/m:predict"
ROWS = np.array([[1, 2], [3, 4]], np.float32)
BASKET = signature(
    {"sku": (DataType.DT_STRING, [-1]), "quantity": (DataType.DT_INT32, [-1])},
    {"text": (DataType.DT_STRING, [-1]), "total": (DataType.DT_INT32, [-1])},
)


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def post(client, path, body, content_type=NPY, accept="*/*"):
    return client.http.post(path, data=body, headers={"Content-Type": content_type, "Accept": accept})


@pytest.fixture
def basket(client):
    client.fake.models["b"] = {
        7: Version(lambda inputs: {"text": inputs["sku"], "total": inputs["quantity"] * 2}, {"serving_default": BASKET})
    }
    return client


def test_an_array_in_and_an_array_out(client):
    response = post(client, V1, saved(ROWS), accept=NPY)
    assert (response.status_code, response.content_type, response.headers["X-Model-Version"]) == (200, NPY, "1")
    assert bits(np.load(io.BytesIO(response.data))) == bits(ROWS * 2)


def test_an_array_in_and_json_out(client):
    assert post(client, V1, saved(ROWS)).json == {"outputs": [[2.0, 4.0], [6.0, 8.0]]}
    assert post(client, "/predict/m", saved(ROWS[0])).json["prediction"] == [2.0, 4.0]


def test_json_in_and_an_array_out(client):
    response = client.post(V1, {"instances": [[1, 2]]}, headers={"Accept": NPY})
    assert bits(np.load(io.BytesIO(response.data))) == bits(ROWS[:1] * 2)
    response = client.post("/predict/m", {"x": [1, 2]}, headers={"Accept": NPY})
    assert bits(np.load(io.BytesIO(response.data))) == bits(ROWS[0] * 2)


@pytest.mark.parametrize(("path", "rows"), [("/v1/models/b:predict", 2), ("/predict/b", 0)])
def test_several_arrays_go_by_name(basket, path, rows):
    sku, quantity = np.array(["a", "caf\u00e9"]), np.array([1, 2], np.int32)
    body = zipped(sku=sku, quantity=quantity) if rows else zipped(sku=sku[1], quantity=quantity[1])
    response = post(basket, path, body, NPZ, NPZ)
    assert (response.status_code, response.content_type, response.headers["X-Model-Version"]) == (200, NPZ, "7")
    with np.load(io.BytesIO(response.data)) as answer:
        assert answer["total"].tolist() == ([2, 4] if rows else 4)
        assert answer["text"].tolist() == ([b"a", b"caf\xc3\xa9"] if rows else b"caf\xc3\xa9")


def test_a_wrong_dtype_is_refused_in_the_dialects_shape_before_any_call(client):
    expected = "1 problem: (body): expected npy dtype <f4 for float, got <f8"
    assert post(client, V1, saved(ROWS.astype(np.float64))).json == {"error": expected}
    response = post(client, "/predict/m", saved(ROWS[0].astype(np.float64)))
    assert (response.status_code, response.json["error"], response.json["message"]) == (400, "BAD_INPUT", expected)
    assert "Predict" not in client.fake.calls


def test_a_shape_that_does_not_fit_is_refused_or_forwarded_as_the_dialect_has_it(client):
    response = post(client, "/predict/m", saved(ROWS))
    assert (response.status_code, "got shape [2, 2]" in response.json["message"]) == (400, True)
    assert post(client, V1, saved(ROWS[0])).json == {"outputs": [2.0, 4.0]}
    client.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "the model says no")]
    refused = post(client, V1, saved(ROWS[0]))
    assert refused.json["error"] == "the model says no\n/inputs: expected float[-1,2], got shape [2]"


def test_a_zip_bomb_is_refused(make_client):
    client = make_client(max_body_bytes=100_000)
    bomb = zipped(x=np.zeros((5_000_000, 2), np.float32))
    response = post(client, V1, bomb, NPZ)
    assert (response.status_code, "the limit of 100000 bytes" in response.json["error"]) == (413, True)


def test_several_outputs_as_one_array_are_refused_with_what_to_ask_for(basket):
    body = zipped(sku=np.array(["a"]), quantity=np.array([1], np.int32))
    response = post(basket, "/v1/models/b:predict", body, NPZ, NPY)
    assert (response.status_code, NPZ in response.json["error"]) == (400, True)


@pytest.fixture(scope="module")
def model():
    with identity() as client:
        yield client


@given(tensors([dtype for dtype in dtypes.DTYPES if dtype != dtypes.STRING]), st.booleans())
def test_every_tensor_comes_back_bit_for_bit(model, typed, is_archive):
    dtype, array = typed
    body = encode_npy("x", array)
    path, kind = f"/v1/models/{dtype.name}:predict", NPZ if is_archive else NPY
    response = post(model, path, pack_npz({"x": body}) if is_archive else body, kind, kind)
    assert response.status_code == 200, response.text
    answer = dict(unpack_npz(response.data, 10_000))["x"] if is_archive else response.data
    assert bits(decode_npy(answer, dtype)) == bits(array)


@given(st.binary(max_size=200), st.sampled_from([NPY, NPZ]), st.sampled_from([V1.replace("m:", "float:"), "/predict/float"]))
def test_any_bytes_are_refused_without_a_5xx(model, data, content_type, path):
    prefix = b"\x93NUMPY\1\0" if content_type == NPY else b"PK\3\4"
    for body in (data, prefix + data):
        assert post(model, path, body, content_type).status_code in (200, 400)


def test_an_array_of_too_many_dimensions_is_refused(client):
    """One dimension more, that of the batch, would be more than numpy has."""
    file = io.BytesIO()
    np.save(file, np.zeros((1,) * 64, np.float32))
    response = client.http.post("/predict/m", data=file.getvalue(), headers={"Content-Type": "application/x-npy"})
    assert response.status_code == 400
    assert "expected an array of shape [2]" in response.json["message"]
