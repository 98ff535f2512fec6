"""Tensors go through JSON, b64 and npy into the model server's identity models and come back bit for bit.

(Binary tensors: test_openinference.) JSON has one NaN, no shape below an empty list, and no half floats on /v1.
"""

import base64
import io
import json

import hypothesis
import numpy as np
import pytest
import requests

from gateway.inference import dtypes
from tests.gateway.api.arrays import PROTOCOL, bits, tensors
from tests.model_server import savedmodels
from tests.stack.conftest import Stack

JSON_DTYPES = [dtype for dtype in PROTOCOL if dtype not in (dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16)]
PROPERTY = hypothesis.settings(deadline=None, database=None, max_examples=200)


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    """Posts to a model that is called as its dtype and gives ``x`` back as ``y``."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("identities")
    for dtype in PROTOCOL:
        savedmodels.echo(folder / "models" / dtype.name / "1", {"serving_default": tf.as_dtype(dtype.name)})
    stack = Stack(folder, folder / "models", tuple(dtype.name for dtype in PROTOCOL), predict_timeout_ms=30_000)
    try:
        stack.start()
        with requests.Session() as session:
            yield lambda dtype, **request: session.post(
                f"{stack.address}/v1/models/{dtype.name}:predict", timeout=60, **request
            )
    finally:
        stack.stop()


def to_json(array: np.ndarray) -> object:
    if array.dtype != object:
        return array.tolist()
    encoded = np.empty(array.shape, dtype=object)
    for index, data in np.ndenumerate(array):
        encoded[index] = {"b64": base64.b64encode(data).decode()}
    return encoded.tolist()


def to_bytes(value: object) -> object:
    if isinstance(value, list):
        return [to_bytes(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


@PROPERTY
@hypothesis.given(tensors(among=JSON_DTYPES))
def test_json_and_b64(post, typed):
    dtype, array = typed
    hypothesis.assume(array.size or array.ndim < 2)
    response = post(dtype, data=json.dumps({"inputs": to_json(array)}))
    assert response.status_code == 200, response.text
    outputs = json.loads(response.text)["outputs"]
    if dtype is dtypes.STRING:
        assert to_bytes(outputs) == array.tolist()
        return
    back = np.array(outputs, dtype.numpy)
    assert back.shape == array.shape
    # Every NaN is the same token; all other values keep every bit, the sign of zero too.
    numbers = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
    assert bits(back[numbers]) == bits(array[numbers])
    assert array.dtype.kind != "f" or np.array_equal(np.isnan(back), np.isnan(array))


@PROPERTY
@hypothesis.given(tensors(among=[dtype for dtype in PROTOCOL if dtype not in (dtypes.STRING, dtypes.BFLOAT16)]))
def test_npy(post, typed):
    dtype, array = typed
    file = io.BytesIO()
    np.save(file, array)
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
    response = post(dtype, data=file.getvalue(), headers=headers)
    assert response.status_code == 200, response.text
    back = np.load(io.BytesIO(response.content))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert bits(back) == bits(array)
