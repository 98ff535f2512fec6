"""The Open Inference Protocol by a client that is not ours, tritonclient: JSON and binary, three models and an identity."""

import json

import hypothesis
import numpy as np
import pytest
import requests
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from gateway.codec.datatypes import datatype_of
from gateway.codec.raw_tensor import decode_raw_tensor, encode_raw_tensor
from model_export.examples.handwritten_digits import held_out_digits
from tests.gateway.api.arrays import PROTOCOL, bits, tensors
from tests.stack.conftest import Stack
from tests.stack.test_examples import png

ROWS = 100
BOTH = pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])


@pytest.fixture(scope="module")
def client(stack):
    with triton.InferenceServerClient(stack.address.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="module")
def digits():
    images, labels = held_out_digits()
    return images[:ROWS].astype(np.float32), labels[:ROWS]


def given(name, array, datatype, *, binary):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def wanted(*names, binary):
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def test_server_and_models_are_live_ready_and_described(client, stack):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "serving-gateway"
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert client.get_model_metadata("half_plus_two", "1") == {
        "name": "half_plus_two",
        "versions": ["1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    index = client.get_model_repository_index()
    assert {(entry["name"], entry["version"], entry["state"]) for entry in index} == {
        (name, "1", "READY") for name in ("half_plus_two", "dense", "digits", "basket")
    }


@BOTH
def test_half_plus_two(client, binary):
    x = np.array([[1.0], [2.0], [5.0]], np.float32)
    inputs, outputs = [given("x", x, "FP32", binary=binary)], wanted("y", binary=binary)
    result = client.infer("half_plus_two", inputs, outputs=outputs, request_id="r-1")
    assert result.as_numpy("y").tolist() == [[2.5], [3.0], [4.5]]
    assert result.get_response()["id"] == "r-1"
    assert result.get_response()["model_version"] == "1"


@BOTH
def test_digits_are_read_right(client, digits, binary):
    images, labels = digits
    inputs, outputs = [given("image", images, "FP32", binary=binary)], wanted("label", "probabilities", binary=binary)
    result = client.infer("digits", inputs, model_version="1", outputs=outputs)
    assert (result.as_numpy("label") == labels).sum() >= 95
    assert result.as_numpy("probabilities").shape == (ROWS, 10)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label", "probabilities"]


def test_digits_are_read_right_from_png_files_by_another_signature(client, digits):
    images, labels = digits
    (spec,) = client.get_model_metadata("digits", query_params={"signature_name": "png"})["inputs"]
    files = np.array([png(image) for image in images], object)
    assert spec["datatype"] == "BYTES"
    inputs = [given(spec["name"], files, "BYTES", binary=True)]
    result = client.infer("digits", inputs, parameters={"signature_name": "png"})
    assert (result.as_numpy("label") == labels).sum() >= 95


@BOTH
def test_a_basket_of_several_dtypes(client, binary):
    inputs = [
        given("sku", np.array(["caf\u00e9-1".encode(), b"a-2"], object), "BYTES", binary=binary),
        given("quantity", np.array([2, 3], np.int32), "INT32", binary=binary),
        given("unit_price", np.array([1.5, 0.5], np.float32), "FP32", binary=binary),
        given("express", np.array([False, True]), "BOOL", binary=binary),
    ]
    everything = client.infer("basket", inputs)
    assert everything.as_numpy("total").shape == (2,)
    result = client.infer("basket", inputs, outputs=wanted("summary", "total_cents", binary=binary))
    assert result.as_numpy("total_cents").tolist() == everything.as_numpy("total_cents").tolist()
    assert result.as_numpy("total_cents")[0] == 300
    summary = result.as_numpy("summary")[0]
    assert "caf\u00e9-1" in (summary.decode() if isinstance(summary, bytes) else summary)
    assert result.as_numpy("total") is None


def test_requests_may_be_compressed(client):
    inputs = [given("x", np.array([[2.0]], np.float32), "FP32", binary=True)]
    assert client.infer("half_plus_two", inputs, request_compression_algorithm="gzip").as_numpy("y").tolist() == [[3.0]]


@BOTH
def test_a_wrong_dtype_is_refused_with_its_place(client, binary):
    inputs = [given("x", np.array([[1]], np.int64), "INT64", binary=binary)]
    with pytest.raises(InferenceServerException, match=r'/inputs/0/datatype: expected FP32, got string "INT64"') as raised:
        client.infer("half_plus_two", inputs)
    assert raised.value.status() == "400"


@BOTH
def test_a_wrong_length_is_refused_with_its_place(client, binary):
    tensor = given("image", np.zeros((1, 8, 8), np.float32), "FP32", binary=binary)
    tensor.set_shape([2, 8, 8])
    place = (
        "parameters/binary_data_size: expected 512 bytes" if binary else "data: expected list of 128 numbers, got list of 64"
    )
    with pytest.raises(InferenceServerException, match=f"/inputs/0/{place}"):
        client.infer("digits", [tensor])


@pytest.mark.parametrize(("model", "version"), [("nope", ""), ("digits", "77"), ("digits", "next")])
def test_what_is_not_there_is_404(client, model, version):
    inputs = [given("image", np.zeros((1, 8, 8), np.float32), "FP32", binary=True)]
    with pytest.raises(InferenceServerException) as raised:
        client.infer(model, inputs, model_version=version)
    assert raised.value.status() == "404"
    assert not client.is_model_ready(model, version)


def test_loading_and_unloading_is_the_model_servers_own(client):
    with pytest.raises(InferenceServerException, match=r"models\.config"):
        client.load_model("digits")
    with pytest.raises(InferenceServerException, match=r"models\.config"):
        client.unload_model("digits")
    assert client.is_model_ready("digits")


def test_requests_of_many_connections_do_not_see_each_other(stack):
    numbers = list(range(64))
    with triton.InferenceServerClient(stack.address.removeprefix("http://"), concurrency=16) as client:
        calls = [
            client.async_infer("half_plus_two", [given("x", np.array([[n]], np.float32), "FP32", binary=bool(n % 2))])
            for n in numbers
        ]
        assert [call.get_result().as_numpy("y").item() for call in calls] == [n / 2 + 2 for n in numbers]


def test_a_wrong_method_is_405(stack):
    response = requests.get(f"{stack.address}/v2/models/digits/infer", timeout=30)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """A session to the infer route of a model with a signature of each dtype, by its name, that gives ``x`` back as ``y``."""
    import tensorflow as tf

    from tests.model_server import savedmodels

    folder = tmp_path_factory.mktemp("echo")
    savedmodels.echo(folder / "models" / "echo" / "1", {dtype.name: tf.as_dtype(dtype.name) for dtype in PROTOCOL})
    stack = Stack(folder, folder / "models", ("echo",), predict_timeout_ms=30_000)
    try:
        stack.start()
        with requests.Session() as session:
            yield lambda **request: session.post(f"{stack.address}/v2/models/echo/infer", timeout=60, **request)
    finally:
        stack.stop()


@hypothesis.settings(deadline=None, database=None, max_examples=400)
@hypothesis.given(tensors())
def test_every_tensor_comes_back_from_the_model_server_bit_for_bit(echo, typed):
    dtype, array = typed
    data = bytes(encode_raw_tensor(array))
    tensor = {"name": "x", "datatype": datatype_of(dtype), "shape": list(array.shape)}
    tensor["parameters"] = {"binary_data_size": len(data)}
    document = {"parameters": {"signature_name": dtype.name, "binary_data_output": True}, "inputs": [tensor]}
    header = json.dumps(document).encode()
    response = echo(data=header + data, headers={"Inference-Header-Content-Length": str(len(header))})
    assert response.status_code == 200, response.text
    length = int(response.headers["Inference-Header-Content-Length"])
    (output,) = json.loads(response.content[:length])["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", tensor["datatype"], tensor["shape"])
    assert bits(decode_raw_tensor(memoryview(response.content)[length:], dtype, array.shape)) == bits(array)
