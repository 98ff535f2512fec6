"""Bodies that other services take, sent to each dialect: refused in its own shape, and told how to be sent here."""

import gzip
import io
import json
import pickle
import subprocess

import numpy as np
import pytest

from gateway.api.advice.foreign_body import foreign_bytes
from gateway.backend.stubs import DataType
from tests.gateway.api.advice.test_advice import answer_to, example, message
from tests.gateway.fake_serving import FLOATS, Version, signature

ROUTES = ["/v1/models/m:predict", "/v1/models/m:classify", "/v2/models/m/infer", "/predict/m"]
PNG, JPEG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF\0"


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((1, 2), np.float32))
    return file.getvalue()


PART = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n--b--\r\n'
# Body, Content-Type, and what the refusal calls it.
BYTES = {
    "csv by its type": ("1.0,2.0\n3.0,4.0\n", "text/csv", "CSV"),
    "csv": ("1.0,2.0\n3.0,4.0\n", None, "CSV"),
    "csv with names": ("age,height\n1,2\n", None, "CSV"),
    "csv of one column": ("1.0\n2.0\n", None, "CSV"),
    "json lines": ("[1.0, 2.0]\n[3.0, 4.0]\n", None, "JSON lines"),
    "json lines by their type": ("[1.0, 2.0]", "application/jsonlines", "JSON lines"),
    "png by its type": (PNG, "image/png", "an image (PNG)"),
    "png": (PNG, None, "an image (PNG)"),
    "jpeg": (JPEG, None, "an image (JPEG)"),
    "image by its type": (b"\0\1", "image/x-raw", "an image"),
    "multipart": (PART, "multipart/form-data; boundary=b", "multipart/form-data"),
    "multipart as curl -d": (PART, None, "multipart/form-data"),
    "form": ("instances=1.0&x=2", "application/x-www-form-urlencoded", "a form"),
    "msgpack by its type": (b"\xc0", "application/msgpack", "MessagePack"),
    "msgpack": (b"\x81\xa9instances\x91\xca\x3f\x80\0\0", None, "MessagePack"),
    "pickle": (pickle.dumps({"instances": [1.0]}), None, "a pickle"),
    "pickled array": (pickle.dumps(np.ones(2)), None, "a pickle"),
    "parquet": (b"PAR1\x15\x04", None, "Parquet"),
    "protobuf": (b"\n\5\n\1m\x1a\0\x12\x0b\n\1x\x12\6\x08\1", None, "binary data, such as protocol buffers"),
    "npy without its type": (npy(), None, "numpy's npy"),
    "gzip without its encoding": (gzip.compress(b"{}"), None, "gzip"),
    "utf-16": ('{"instances": [1.0]}'.encode("utf-16"), None, "text in UTF-16"),
    "python": ("{'instances': [[1.0, 2.0]]}", None, "a Python literal"),
    "encoded twice": (json.dumps(json.dumps({"instances": []})), "application/json", "JSON inside a JSON string"),
    "xml": ("<x>1</x>", None, "XML or HTML"),
}
V1, V2 = "POST it to /v1/models/m:predict", "POST it to /v2/models/m/infer"
V2_BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
DOCUMENTS = [
    ("/v1/models/m:predict", V2_BODY, V2),
    ("/v1/models/m:classify", V2_BODY, V2),
    ("/predict/m", V2_BODY, V2),
    ("/v2/models/m/infer", {"instances": [[1, 2]]}, V1),
    ("/v2/models/m/infer", {"inputs": [[1, 2]]}, V1),
    ("/v2/models/m/infer", {"inputs": {"x": [[1, 2]]}}, V1),
    ("/predict/m", {"instances": [[1, 2]]}, V1),
    ("/predict/m", {"inputs": [[1, 2]], "signature_name": "serving_default"}, V1),
    ("/v1/models/m:regress", {"instances": [[1, 2]]}, V1),
    ("/v1/models/m:predict", {"examples": [{"x": 1.0}]}, "POST it to /v1/models/m:classify"),
    ("/v1/models/m:predict", {"dataframe_split": {"columns": ["x"], "data": [[1]]}}, 'its rows go into "instances"'),
    ("/v1/models/m:predict", {"data": {"ndarray": [[1, 2]]}}, "Seldon"),
    ("/v1/models/m:predict", {"input_data": [[1, 2]]}, "Azure"),
    ("/v1/models/m:predict", {"instance": [[1, 2]]}, 'the key is "instances", not "instance"'),
    ("/v1/models/m:predict", {"Inputs": [[1, 2]]}, 'the key is "inputs", not "Inputs"'),
    ("/v1/models/m:predict", {"inputs": {"x": {"dtype": "DT_FLOAT", "floatVal": [1, 2]}}}, "nested lists of its values"),
    ("/v1/models/m:predict", '{"x": [1, 2]}\n{"x": [3, 4]}\n', "JSON lines"),
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", BYTES)
def test_a_body_that_is_no_json_object_is_called_by_its_name_in_each_dialect(client, route, body):
    data, content_type, name = BYTES[body]
    response = client.post(route, data, content_type=content_type)
    assert response.status_code == 400
    assert ("details" in response.json) == (route == "/predict/m")
    assert f"The body looks like {name}: " in message(response)
    if "classify" not in route:
        assert answer_to(client, route, example(response)).status_code == 200


@pytest.mark.parametrize(("route", "body", "told"), DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_json_of_another_service_is_told_where_it_belongs(client, route, body, told):
    response = client.post(route, body)
    assert response.status_code == 400
    assert told in message(response)


@pytest.mark.parametrize("route", ROUTES)
def test_a_foreign_body_for_an_unknown_model_is_called_by_its_name_too(client, route):
    response = client.post(
        route.replace("/m:", "/nope:").replace("/m/", "/nope/").replace("predict/m", "predict/nope"),
        PNG,
        content_type="image/png",
    )
    assert response.status_code in (400, 404)
    assert "The body looks like an image (PNG): " in message(response)
    assert "For example" not in message(response)


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/csv", "image/png", "application/jsonlines", "text/plain"]
)
def test_json_is_answered_whatever_its_content_type(client, content_type):
    assert client.post("/v1/models/m:predict", {"instances": [[1, 2]]}, content_type=content_type).status_code == 200
    assert client.post("/predict/m", {"x": [1, 2]}, content_type=content_type).status_code == 200
    assert client.post("/v2/models/m/infer", V2_BODY, content_type=content_type).status_code == 200


def test_a_misfit_of_our_own_dialect_is_called_nothing_else(client):
    for route, body in [
        ("/v1/models/m:predict", {"instances": [[1, "a"]]}),
        ("/v1/models/m:predict", {"inputs": {"x": [[None]]}}),
        ("/predict/m", {"x": [1, "a"], "inputs": 1}),
        ("/v2/models/m/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, "a"]}]}),
    ]:
        assert "looks like" not in message(client.post(route, body))


@pytest.fixture
def pictures(client):
    outputs = {"y": (DataType.DT_INT64, [-1])}
    seen = []

    def run(inputs):
        seen.extend(inputs["image_bytes"].ravel().tolist())
        return {"y": np.array([len(item) for item in inputs["image_bytes"]], np.int64)}

    declared = signature({"image_bytes": (DataType.DT_STRING, [-1])}, outputs)
    client.fake.models["pictures"] = {1: Version(run, {"serving_default": declared})}
    client.fake.models["named"] = {1: Version(run, {"serving_default": FLOATS, "png": declared})}
    client.seen = seen
    return client


@pytest.mark.parametrize("route", ["/v1/models/pictures:predict", "/predict/pictures", "/v1/models/named:predict"])
def test_an_image_is_answered_with_a_program_that_sends_it_in_base64(pictures, route, tmp_path):
    response = pictures.post(route, JPEG, content_type="image/jpeg")
    [line] = [line for line in message(response).splitlines() if line.startswith("For a file: ")]
    sender, _, curl = line.removeprefix("For a file: ").partition(" | ")
    (tmp_path / "FILE").write_bytes(JPEG * 100)
    assert curl == f"curl -d @- http://localhost{route}"
    sent = subprocess.run(["bash", "-c", sender], cwd=tmp_path, check=True, capture_output=True).stdout
    body = sent.replace(b"\n", b"")  # as curl -d does
    assert pictures.post(route, body).status_code == 200
    assert pictures.seen[0] == JPEG * 100


def test_an_image_is_answered_with_a_program_that_sends_it_as_it_is(pictures):
    response = pictures.post("/v2/models/pictures/infer", JPEG, content_type="image/jpeg")
    assert "curl -H 'Inference-Header-Content-Length: 0'" in message(response)
    assert "--data-binary @FILE http://localhost/v2/models/pictures/infer" in message(response)
    headers = {"Inference-Header-Content-Length": "0"}
    assert pictures.post("/v2/models/pictures/infer", JPEG, headers=headers).status_code == 200


def test_an_image_for_a_model_of_numbers_is_to_be_decoded(client):
    assert "the model takes numbers: decode it" in message(client.post("/v1/models/m:predict", PNG))


@pytest.mark.parametrize("piece", [b"]  \n", b"-1\n", b" \t,", b"[[", b"a ", b"\n", b"{'", b"a=", b"<", b"\0", b"\xff"])
def test_looking_at_a_hostile_body_costs_little(piece):
    """The patterns are linear: a body of 4096 bytes that nearly fits is given up at once, or the suite's time limit ends it."""
    for _ in range(20):
        foreign_bytes(piece * 4096 + b"]", "")
        foreign_bytes(piece * 4096 + b"{", "text/plain")


def test_the_names_of_what_was_sent_get_into_no_remedy(client):
    response = client.post("/v1/models/m:predict", {"data": {"ndarray": 1, "{model.__class__}": 1}})
    assert "__class__" not in message(response)
