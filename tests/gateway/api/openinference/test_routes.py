"""/v2/...: the Open Inference Protocol, through the whole application."""

import gzip
import json
import struct
import tomllib
import zlib
from pathlib import Path

import grpc
import numpy as np
import pytest

from gateway.api.openinference.form import HEADER_LENGTH
from gateway.app import close, create_app
from gateway.backend.stubs import DataType
from tests.gateway.conftest import Client, settings
from tests.gateway.fake_serving import END, FLOATS, FakeServing, Version, serving, signature
from tests.waiting import wait_for

INFER = "/v2/models/m/infer"
X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
BINARY_X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
FOUR = np.array([[1, 2], [3, 4]], np.float32)

SHOP = signature(
    {"name": (DataType.DT_STRING, [-1]), "amount": (DataType.DT_UINT16, [-1]), "gift": (DataType.DT_BOOL, [])},
    {"text": (DataType.DT_STRING, [-1]), "total": (DataType.DT_HALF, [-1]), "gift": (DataType.DT_BOOL, [])},
)
SHOP_INPUTS = [
    {"name": "amount", "datatype": "UINT16", "shape": [2], "data": [1, 65535]},
    {"name": "name", "datatype": "BYTES", "shape": [2], "data": ["caf\u00e9", ""]},
    {"name": "gift", "datatype": "BOOL", "shape": [], "data": [True]},
]


def shop(inputs):
    with np.errstate(over="ignore"):
        return {"text": inputs["name"], "total": inputs["amount"].astype(np.float16), "gift": inputs["gift"]}


def post_binary(client, document, data, path=INFER, header_length=None):
    """Send JSON and binary data behind it; ``header_length`` may lie."""
    header = json.dumps(document).encode()
    length = str(len(header) if header_length is None else header_length)
    return client.http.post(path, data=header + data, headers={HEADER_LENGTH: length})


def read_binary(response):
    """The JSON of an answer, and the binary data behind it."""
    assert response.content_type == "application/octet-stream"
    length = int(response.headers[HEADER_LENGTH])
    return json.loads(response.data[:length]), response.data[length:]


def problems(response):
    """The places that a refusal names, in its order."""
    assert response.status_code == 400, response.text
    assert response.content_type == "application/json"
    assert list(response.json) == ["error"]
    lines = response.json["error"].splitlines()[1:]
    return [line.split(": expected")[0] for line in lines if line.startswith(("/", "(body)", "…"))]


@pytest.fixture
def store(client):
    """A client of a model of several inputs and outputs, ``s``."""
    client.fake.models["s"] = {3: Version(shop, {"serving_default": SHOP})}
    return client


# Server and models.


def test_the_server_tells_its_name_version_and_extensions(client):
    pyproject = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    assert client.get("/v2").json == {
        "name": pyproject["name"],
        "version": pyproject["version"],
        "extensions": ["binary_tensor_data", "model_repository"],
    }


def test_the_server_is_live_and_ready(client):
    assert client.get("/v2/health/live").json == {"live": True}
    response = client.get("/v2/health/ready")
    assert (response.status_code, response.json) == (200, {"ready": True})


def test_the_server_is_not_ready_while_a_configured_model_is_not_and_says_why(client):
    client.fake.models["m"][1].state = END
    wait_for(lambda: client.get("/v2/health/ready").status_code == 503)
    body = client.get("/v2/health/ready").json
    assert body["ready"] is False
    assert body["error"].startswith("m: ")
    assert client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/m/ready", "/v2/models/m/versions/1/ready", "/v2/models/m/versions/stable/ready"])
def test_a_model_is_ready(client, path):
    client.fake.labels["m", "stable"] = 1
    response = client.get(path)
    assert (response.status_code, response.json) == (200, {"name": "m", "ready": True})


def test_a_version_that_failed_is_not_ready_and_says_why(client):
    client.fake.models["m"][2] = Version(state=END, error_code=3, error_message="broken")
    response = client.get("/v2/models/m/versions/2/ready")
    assert (response.status_code, response.json["ready"]) == (503, False)
    assert "broken" in response.json["error"]


@pytest.mark.parametrize("path", ["/v2/models/s", "/v2/models/s/versions/3", "/v2/models/s/versions/stable"])
def test_metadata_has_datatypes_and_free_dimensions(store, path):
    store.fake.labels["s", "stable"] = 3
    store.fake.models["s"][2] = Version()
    response = store.get(path)
    assert response.headers["X-Model-Version"] == "3"
    assert response.json == {
        "name": "s",
        "versions": ["2", "3"],
        "platform": "tensorflow_savedmodel",
        "inputs": [
            {"name": "amount", "datatype": "UINT16", "shape": [-1]},
            {"name": "gift", "datatype": "BOOL", "shape": []},
            {"name": "name", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "gift", "datatype": "BOOL", "shape": []},
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
            {"name": "total", "datatype": "FP16", "shape": [-1]},
        ],
    }


def test_metadata_of_another_signature(store):
    store.fake.models["s"][3].signatures["plain"] = FLOATS
    assert store.get("/v2/models/s?signature_name=plain").json["inputs"][0]["name"] == "x"
    response = store.get("/v2/models/s?signature_name=nope")
    assert response.status_code == 400
    assert "plain, serving_default" in response.json["error"]


@pytest.mark.parametrize("path", ["", "/ready", "/infer"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nope", "nope"),
        ("m/versions/9", "m"),
        ("m/versions/next", "no version or label next"),
        ("m/versions/99999999999999999999", "beyond 9223372036854775807"),
    ],
)
def test_a_model_or_version_that_is_not_there_is_404(client, model, words, path):
    ask = client.get if path != "/infer" else lambda path: client.post(path, {"inputs": [X]})
    response = ask(f"/v2/models/{model}{path}")
    assert response.status_code == 404
    assert list(response.json) == ["error"]
    assert words in response.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2", "GET"),
        ("PUT", "/v2/health/live", "GET"),
        ("DELETE", "/v2/health/ready", "GET"),
        ("POST", "/v2/models/m", "GET"),
        ("POST", "/v2/models/m/ready", "GET"),
        ("POST", "/v2/models/m/versions/1", "GET"),
        ("GET", "/v2/models/m/infer", "POST"),
        ("OPTIONS", "/v2/models/m/versions/1/infer", "POST"),
        ("GET", "/v2/repository/index", "POST"),
        ("GET", "/v2/repository/models/m/load", "POST"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(client, method, path, allowed):
    response = client.http.open(path, method=method)
    assert response.status_code == 405
    assert allowed in response.headers["Allow"].split(", ")
    assert list(response.json) == ["error"]


@pytest.mark.parametrize("path", ["/v2/nope", "/v2/models", "/v2/models/m/nope", "/v2/models/m/versions", "/v2/repository"])
def test_a_path_that_is_no_route_is_404_in_the_protocols_shape(client, path):
    response = client.get(path)
    assert (response.status_code, list(response.json)) == (404, ["error"])


def test_the_repository_index_has_every_version_with_its_state(store):
    store.fake.models["m"][2] = Version(state=END, error_code=3, error_message="broken")
    ready = {"name": "m", "version": "1", "state": "READY", "reason": ""}
    failed = {"name": "m", "version": "2", "state": "UNAVAILABLE", "reason": "INVALID_ARGUMENT: broken"}
    wait_for(lambda: len(store.post("/v2/repository/index", "").json) == 2)
    assert store.post("/v2/repository/index", "").json == [failed, ready]
    assert store.post("/v2/repository/index", {"ready": False}).json == [failed, ready]
    assert store.post("/v2/repository/index", {"ready": True}).json == [ready]
    assert problems(store.post("/v2/repository/index", {"ready": "yes"})) == ["/ready"]


def test_a_model_without_versions_is_in_the_index_with_its_reason(client):
    client.fake.models["m"].clear()
    wait_for(lambda: client.post("/v2/repository/index", "").json[0]["state"] == "UNAVAILABLE")
    (entry,) = client.post("/v2/repository/index", "").json
    assert entry == {"name": "m", "state": "UNAVAILABLE", "reason": "Could not find any versions of model m"}


@pytest.mark.parametrize("action", ["load", "unload"])
def test_the_repository_cannot_be_changed_and_says_who_can(client, action):
    response = client.post(f"/v2/repository/models/m/{action}", "")
    assert response.status_code == 501
    assert "models.config" in response.json["error"]


# Inference.


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2e0, 3, 4.0]], ids=["flat", "nested", "floats"])
def test_json_in_and_out(client, data):
    response = client.post(INFER, {"id": "seven", "inputs": [X | {"data": data}]})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["X-Model-Version"] == "1"
    assert HEADER_LENGTH not in response.headers
    assert response.json == {
        "model_name": "m",
        "model_version": "1",
        "id": "seven",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 8.0]}],
    }


@pytest.mark.parametrize("path", [INFER, "/v2/models/m/versions/1/infer", "/v2/models/m/versions/stable/infer"])
def test_the_version_may_be_a_number_or_a_label(client, path):
    client.fake.models["m"][1].run = lambda inputs: {"y": inputs["x"] + 1}
    client.fake.models["m"][2] = Version(state=END)
    client.fake.labels["m", "stable"] = 1
    response = client.post(path, {"inputs": [X]})
    assert response.json["model_version"] == "1"
    assert response.json["outputs"][0]["data"] == [2.0, 3.0, 4.0, 5.0]


def test_binary_in_and_out_bit_for_bit(client):
    client.fake.models["m"][1].run = lambda inputs: {"y": inputs["x"]}
    data = struct.pack("<4I", 0x7FC00001, 0x80000000, 0x00000001, 0xFF800000)  # a NaN of its own, -0, a subnormal, -inf
    response = post_binary(client, {"inputs": [BINARY_X], "parameters": {"binary_data_output": True}}, data)
    document, rest = read_binary(response)
    assert document["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}]
    assert rest == data


def test_json_and_binary_tensors_mix_in_both_directions(store):
    strings = b"\x02\0\0\0\xff\0" + b"\0\0\0\0"
    inputs = [
        {"name": "amount", "datatype": "UINT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        SHOP_INPUTS[2],
        {"name": "name", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(strings)}},
    ]
    outputs = [{"name": "text", "parameters": {"binary_data": True}}, {"name": "gift"}, {"name": "total"}]
    outputs[2]["parameters"] = {"binary_data": True}
    data = np.array([1, 3], np.uint16).tobytes() + strings
    document, rest = read_binary(post_binary(store, {"inputs": inputs, "outputs": outputs}, data, "/v2/models/s/infer"))
    assert document["outputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}},
        {"name": "gift", "datatype": "BOOL", "shape": [], "data": [True]},
        {"name": "total", "datatype": "FP16", "shape": [2], "parameters": {"binary_data_size": 4}},
    ]
    assert rest == strings + np.array([1, 3], np.float16).tobytes()


def test_a_body_without_json_is_the_data_of_the_only_input(client):
    response = client.http.post(INFER, data=FOUR.tobytes(), headers={HEADER_LENGTH: "0"})
    document, rest = read_binary(response)
    assert (document["outputs"][0]["shape"], rest) == ([2, 2], (FOUR * 2).tobytes())
    response = client.http.post(INFER, data=FOUR.tobytes()[:-1], headers={HEADER_LENGTH: "0"})
    assert problems(response) == ["(body)"]
    assert "expected the data of x, FP32 [-1, 2]: 16 bytes for FP32 [2, 2], got 15 bytes" in response.json["error"]


def test_a_body_without_json_is_one_string(client):
    text = signature({"x": (DataType.DT_STRING, [-1, 1])}, {"x": (DataType.DT_STRING, [-1, 1])})
    client.fake.models["t"] = {1: Version(dict, {"serving_default": text})}
    response = client.http.post("/v2/models/t/infer", data=b"\xff\0png", headers={HEADER_LENGTH: "0"})
    document, rest = read_binary(response)
    assert (document["outputs"][0]["shape"], rest) == ([1, 1], b"\x05\0\0\0\xff\0png")


def test_a_body_without_json_needs_one_input_and_one_free_size(store):
    response = store.http.post("/v2/models/s/infer", data=b"12", headers={HEADER_LENGTH: "0"})
    assert response.status_code == 400
    assert "the model itself refused" not in response.json["error"]
    assert "amount, UINT16 [-1]; gift, BOOL []; name, BYTES [-1]" in response.json["error"]


def test_an_output_may_say_otherwise_than_the_request(store):
    document = {
        "inputs": SHOP_INPUTS,
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "total", "parameters": {"binary_data": False}}, {"name": "gift"}],
    }
    answer, rest = read_binary(store.post("/v2/models/s/infer", document))
    assert answer["outputs"][0]["data"] == [1.0, None], "65535 is infinite in half precision, which JSON has no number for"
    assert rest == b"\1"


def test_the_requested_outputs_come_in_the_order_in_which_they_are_asked_for(store):
    document = {"inputs": SHOP_INPUTS, "outputs": [{"name": "total"}, {"name": "gift"}]}
    assert [output["name"] for output in store.post("/v2/models/s/infer", document).json["outputs"]] == ["total", "gift"]
    everything = store.post("/v2/models/s/infer", {"inputs": SHOP_INPUTS, "outputs": []}).json["outputs"]
    assert [output["name"] for output in everything] == ["gift", "text", "total"]


class RecordingServing(FakeServing):
    """Notes which outputs are asked for."""

    def __init__(self):
        super().__init__()
        self.filters = []

    def Predict(self, request, context):  # noqa: N802 - gRPC's name
        self.filters.append(list(request.output_filter))
        return super().Predict(request, context)


def test_no_more_than_the_requested_outputs_is_asked_of_the_backend():
    fake = RecordingServing()
    fake.models["s"] = {3: Version(shop, {"serving_default": SHOP})}
    with serving(fake) as port:
        app = create_app(settings(port))
        store = Client(app, fake)
        assert store.post("/v2/models/s/infer", {"inputs": SHOP_INPUTS, "outputs": [{"name": "total"}]}).status_code == 200
        assert store.post("/v2/models/s/infer", {"inputs": SHOP_INPUTS}).status_code == 200
        close(app)
    assert fake.filters == [["total"], []]


def test_strings_in_json_are_text_or_b64(store):
    name = SHOP_INPUTS[1] | {"data": [{"b64": "/w=="}, "a:b"]}
    answer = store.post("/v2/models/s/infer", {"inputs": [SHOP_INPUTS[0], name, SHOP_INPUTS[2]], "outputs": [{"name": "text"}]})
    assert answer.json["outputs"][0]["data"] == [{"b64": "/w=="}, "a:b"]


def test_a_parameter_chooses_the_signature(store):
    store.fake.models["s"][3].signatures["plain"] = FLOATS
    store.fake.models["s"][3].run = lambda inputs: {"y": inputs["x"]}
    answer = store.post("/v2/models/s/infer", {"inputs": [X], "parameters": {"signature_name": "plain"}})
    assert answer.json["outputs"][0]["data"] == [1.0, 2.0, 3.0, 4.0]
    answer = store.post("/v2/models/s/infer", {"inputs": [X], "parameters": {"signature_name": "nope"}})
    assert answer.status_code == 400
    assert "plain, serving_default" in answer.json["error"]


def test_what_the_protocol_leaves_open_is_ignored(client):
    document = {
        "model_name": "m",
        "id": None,
        "parameters": {"priority": 3, "sequence_id": 1, "anything": {"a": []}},
        "inputs": [X | {"parameters": {"content_type": "np"}}],
        "outputs": None,
    }
    response = client.post(INFER, document)
    assert response.status_code == 200
    assert "id" not in response.json


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_inflated(client, encoding, compress):
    header = json.dumps({"inputs": [BINARY_X]}).encode()
    headers = {HEADER_LENGTH: str(len(header)), "Content-Encoding": encoding}
    response = client.http.post(INFER, data=compress(header + FOUR.tobytes()), headers=headers)
    assert response.json["outputs"][0]["data"] == [2.0, 4.0, 6.0, 8.0]


def test_a_request_without_rows_is_answered_without_rows(client):
    answer = client.post(INFER, {"inputs": [X | {"shape": [0, 2], "data": []}]}).json
    assert answer["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [0, 2], "data": []}]


@pytest.mark.parametrize(
    ("status", "http_status"),
    [(grpc.StatusCode.INTERNAL, 500), (grpc.StatusCode.UNAVAILABLE, 503), (grpc.StatusCode.RESOURCE_EXHAUSTED, 429)],
)
def test_a_failure_of_the_backend_has_its_status_and_the_protocols_shape(client, status, http_status):
    client.post(INFER, {"inputs": [X]})
    client.fake.failures = [(status, "why")] * 2
    response = client.post(INFER, {"inputs": [X]})
    assert (response.status_code, list(response.json)) == (http_status, ["error"])


# Refusals: the places that the answer names, in its order.

REFUSED = [
    ({}, ["/inputs"]),
    ({"inputs": {}}, ["/inputs"]),
    ({"inputs": []}, ["/inputs"]),
    ({"inputs": [3, []]}, ["/inputs/0", "/inputs/1", "/inputs"]),
    ({"id": 7, "inputs": [X]}, ["/id"]),
    ({"parameters": [], "inputs": [X]}, ["/parameters"]),
    ({"parameters": {"signature_name": 1, "binary_data_output": "yes"}, "inputs": [X]},
     ["/parameters/binary_data_output", "/parameters/signature_name"]),
    ({"inputs": [{}]}, ["/inputs/0/name", "/inputs/0/datatype", "/inputs/0/shape", "/inputs"]),
    ({"inputs": [X, X]}, ["/inputs/1/name"]),
    ({"inputs": [X, X | {"name": "z"}]}, ["/inputs/1/name"]),
    ({"inputs": [X | {"name": "z"}]}, ["/inputs/0/name", "/inputs"]),
    ({"inputs": [X | {"datatype": "FP64"}]}, ["/inputs/0/datatype"]),
    ({"inputs": [X | {"datatype": "float"}]}, ["/inputs/0/datatype"]),
    ({"inputs": [X | {"datatype": 1}]}, ["/inputs/0/datatype"]),
    ({"inputs": [X | {"shape": [4]}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": [4, 1]}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": [1, 2, 2]}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": [-2, -2]}]}, ["/inputs/0/shape/0", "/inputs/0/shape/1"]),
    ({"inputs": [X | {"shape": [2.0, True]}]}, ["/inputs/0/shape/0", "/inputs/0/shape/1"]),
    ({"inputs": [X | {"shape": [2**63, 2]}]}, ["/inputs/0/shape/0"]),
    ({"inputs": [X | {"shape": [2**62, 2**62]}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": [0, 2**62, 2**62], "data": []}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": [2**40, 2]}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"shape": [1] * 65}]}, ["/inputs/0/shape"]),
    ({"inputs": [X | {"shape": 4, "data": [1, "a", None, 4]}]}, ["/inputs/0/shape", "/inputs/0/data/1", "/inputs/0/data/2"]),
    ({"inputs": [X | {"data": [1, 2, 3]}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"data": [1, 2, 3, 4, 5]}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"data": [1, "2", 3]}]}, ["/inputs/0/data", "/inputs/0/data/1"]),
    ({"inputs": [X | {"data": [1, True, None, {}]}]}, ["/inputs/0/data/1", "/inputs/0/data/2", "/inputs/0/data/3"]),
    ({"inputs": [X | {"data": [1, [2], 3, 4]}]}, ["/inputs/0/data/1"]),
    ({"inputs": [X | {"data": [1, 1e39, 3, -1e300]}]}, ["/inputs/0/data/1", "/inputs/0/data/3"]),
    ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [NaN, -Infinity]}]}',
     ["/inputs/0/data/0", "/inputs/0/data/1"]),
    ({"inputs": [X | {"data": [[1, 2], [3]]}]}, ["/inputs/0/data/1"]),
    ({"inputs": [X | {"data": [[1, 2, 3, 4]]}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"data": 1}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"data": "AAAA"}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"data": None}]}, ["/inputs/0/data"]),
    ({"inputs": [X | {"parameters": {"binary_data_size": -1}}]}, ["/inputs/0/parameters/binary_data_size"]),
    ({"inputs": [X | {"parameters": {"binary_data_size": 16.0}}]}, ["/inputs/0/parameters/binary_data_size"]),
    ({"inputs": [X | {"parameters": "none"}]}, ["/inputs/0/parameters"]),
    ({"inputs": [X | {"parameters": {"shared_memory_region": "r"}}]}, ["/inputs/0/parameters/shared_memory_region"]),
    ({"inputs": [X], "outputs": {}}, ["/outputs"]),
    ({"inputs": [X], "outputs": [{"name": "z"}, {}, "y"]}, ["/outputs/0/name", "/outputs/1/name", "/outputs/2"]),
    ({"inputs": [X], "outputs": [{"name": "y"}, {"name": "y"}]}, ["/outputs/1/name"]),
    ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, ["/outputs/0/parameters/binary_data"]),
    ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
     ["/outputs/0/parameters/classification"]),
    ({"id": 1, "outputs": [{"name": "q"}], "inputs": [X | {"datatype": "INT8", "shape": [3, 3], "data": [1, "a"]}]},
     ["/id", "/outputs/0/name", "/inputs/0/datatype", "/inputs/0/shape", "/inputs/0/data", "/inputs/0/data/1"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "places"), REFUSED, ids=range(len(REFUSED)))
def test_every_problem_is_told_with_its_place_and_no_call_is_made(client, document, places):
    assert problems(client.post(INFER, document)) == places
    assert "Predict" not in client.fake.calls


REFUSED_BINARY = [
    (BINARY_X, b"1" * 15, ["(body)"]),
    (BINARY_X, b"1" * 17, ["(body)"]),
    (BINARY_X | {"shape": [3, 2]}, b"1" * 16, ["/inputs/0/parameters/binary_data_size"]),
    (BINARY_X | {"parameters": {"binary_data_size": 20}}, b"1" * 20, ["/inputs/0/parameters/binary_data_size"]),
    (BINARY_X | {"parameters": {"binary_data_size": 2**63 - 1}}, b"1" * 16, ["(body)"]),
    (BINARY_X | {"parameters": {"binary_data_size": 2**63}}, b"", ["/inputs/0/parameters/binary_data_size", "/inputs/0/data"]),
    (BINARY_X | {"datatype": "FP64"}, b"1" * 16, ["/inputs/0/datatype", "/inputs/0/parameters/binary_data_size"]),
    (BINARY_X | {"data": [1, 2, 3, 4]}, b"1" * 16, ["/inputs/0/data"]),
    (X, b"1" * 16, ["(body)"]),
]


@pytest.mark.parametrize(("given", "data", "places"), REFUSED_BINARY, ids=range(len(REFUSED_BINARY)))
def test_binary_sizes_that_do_not_add_up_are_told(client, given, data, places):
    assert problems(post_binary(client, {"inputs": [given]}, data)) == places
    assert "Predict" not in client.fake.calls


@pytest.mark.parametrize(
    ("datatype", "data", "words"),
    [
        ("BYTES", b"\1\0\0\0a" + b"\2\0\0\0b", "element 1 that ends at byte 11"),
        ("BYTES", b"\1\0\0\0a" + b"\0\0\0\0" + b"c", "ends at byte 9, got 10 bytes"),
        ("BYTES", b"\xff\xff\xff\xff" * 2, "element 0 that ends"),
        ("BYTES", b"\0\0\0\0\0\0\0", "got 7 bytes"),
        ("BOOL", b"\1\2", "got 2 at element 1"),
    ],
)
def test_binary_elements_that_are_none_are_told(store, datatype, data, words):
    declared = {"BYTES": DataType.DT_STRING, "BOOL": DataType.DT_BOOL}[datatype]
    one = signature({"x": (declared, [2])}, {"y": (declared, [2])})
    store.fake.models["b"] = {1: Version(lambda inputs: {"y": inputs["x"]}, {"serving_default": one})}
    given = {"name": "x", "datatype": datatype, "shape": [2], "parameters": {"binary_data_size": len(data)}}
    response = post_binary(store, {"inputs": [given]}, data, "/v2/models/b/infer")
    assert problems(response) == ["/inputs/0/parameters/binary_data_size"]
    assert words in response.json["error"]


@pytest.mark.parametrize("length", ["-1", "1e3", "", "99999", "\u0663", "9" * 30, "0x10"])
def test_a_header_length_that_does_not_fit_the_body_is_named(client, length):
    body = json.dumps({"inputs": [X]})
    response = client.http.post(INFER, data=body, headers={HEADER_LENGTH: length.encode().decode("latin-1")})
    assert response.status_code == 400
    assert response.json["error"].startswith(f"{HEADER_LENGTH}: expected")


def test_a_header_length_that_cuts_the_json_is_named(client):
    response = post_binary(client, {"inputs": [BINARY_X]}, FOUR.tobytes(), header_length=1)
    assert f"The JSON is the first 1 of the body's bytes, as the header {HEADER_LENGTH} says" in response.json["error"]


def test_sizes_that_cannot_be_counted_are_shown(client):
    response = client.post(INFER, {"inputs": [X | {"shape": [2**40, 2**40]}]})
    assert f"got [{2**40}, {2**40}]" in response.json["error"]


def test_data_that_is_no_list_is_told_that_a_flat_one_is_taken(client):
    response = client.post(INFER, {"inputs": [X | {"data": "ab"}]})
    assert '/inputs/0/data: expected list of 4 numbers, got string "ab"' in response.json["error"]


def test_when_the_model_refuses_what_fits_the_answer_says_so(client):
    client.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "Input is not invertible.")]
    assert client.post(INFER, {"inputs": [X]}).json == {
        "error": "Input is not invertible.\nThe request fits x (float[-1,2]): the model itself refused these values"
    }


def test_no_inputs_are_not_taken_for_another_services_body(client):
    assert "looks like" not in client.post(INFER, {"inputs": None}).json["error"]


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "\ufeff", '{"inputs": [', b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_object_is_refused(client, body):
    response = client.post(INFER, body)
    assert (response.status_code, list(response.json)) == (400, ["error"])


def test_a_body_over_the_limit_is_413_in_the_protocols_shape(make_client):
    response = make_client(max_body_bytes=100).post(INFER, {"inputs": [X] * 10})
    assert (response.status_code, list(response.json)) == (413, ["error"])


def test_binary_data_without_the_header_is_told_that_it_needs_it(client):
    body = json.dumps({"inputs": [BINARY_X]}).encode() + FOUR.tobytes()
    response = client.post(INFER, body)
    assert problems(response) == ["(body)"]
    assert HEADER_LENGTH in response.json["error"]


def test_a_message_has_at_most_20_problems_and_a_count(client):
    response = client.post(INFER, {"inputs": [X | {"shape": [200, 2], "data": ["a"] * 400}]})
    assert len(problems(response)) == 21
    assert response.json["error"].endswith("and 380 more")
    response = client.post(INFER, {"inputs": [1] * 10_000, "outputs": [2] * 10_000})
    assert "and at least" in response.json["error"]
    assert len(response.data) < 5000


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_dtype_that_the_protocol_does_not_have_is_501_before_any_call(client, side):
    tensors = {"inputs": (DataType.DT_FLOAT, [-1, 2]), "outputs": (DataType.DT_FLOAT, [-1, 2])}
    tensors[side] = (DataType.DT_COMPLEX64, [-1, 2])
    odd = signature({"x": tensors["inputs"]}, {"y": tensors["outputs"]})
    client.fake.models["c"] = {1: Version(signatures={"serving_default": odd})}
    response = client.post("/v2/models/c/infer", {"inputs": [X]})
    assert response.status_code == 501
    assert "complex64" in response.json["error"]
    assert "Predict" not in client.fake.calls
    assert client.get("/v2/models/c").json[side][0]["datatype"] == "COMPLEX64"


def test_an_input_with_a_default_value_may_be_left_out(client):
    two = signature({"x": (DataType.DT_FLOAT, [-1, 2]), "k": (DataType.DT_INT32, [])}, {"y": (DataType.DT_FLOAT, [-1, 2])})
    two.defaults["k"].CopyFrom(two.defaults["k"].__class__(dtype=DataType.DT_INT32, int_val=[3]))
    client.fake.models["d"] = {1: Version(lambda inputs: {"y": inputs["x"]}, {"serving_default": two})}
    assert client.post("/v2/models/d/infer", {"inputs": [X]}).status_code == 200


def test_after_a_rollout_the_request_is_read_again_for_the_new_signature(make_client):
    client = make_client(catalog_poll_ms=60_000)
    assert client.post(INFER, {"inputs": [X]}).status_code == 200
    integers = signature({"n": (DataType.DT_INT64, [-1])}, {"y": (DataType.DT_INT64, [-1])})
    client.fake.models["m"][2] = Version(lambda inputs: {"y": inputs["n"]}, {"serving_default": integers})
    given = {"name": "n", "datatype": "INT64", "shape": [1], "data": [9007199254740993]}
    response = client.post(INFER, {"inputs": [given]})
    assert response.json["model_version"] == "2"
    assert response.json["outputs"][0]["data"] == [9007199254740993]


def test_an_answer_without_a_requested_output_is_an_error_of_the_server(store):
    store.fake.models["s"][3].run = lambda inputs: {"gift": inputs["gift"]}
    response = store.post("/v2/models/s/infer", {"inputs": SHOP_INPUTS, "outputs": [{"name": "total"}]})
    assert response.status_code == 500
    assert "total" in response.json["error"]
