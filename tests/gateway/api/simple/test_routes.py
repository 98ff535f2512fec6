"""POST /predict[/<model>]: one example in, one prediction out."""

import io

import grpc
import numpy as np
import pytest

from gateway.backend.stubs import DataType
from tests.gateway.api.bodies import WIDE
from tests.gateway.fake_serving import Version, signature

SEVERAL = signature(
    {"name": (DataType.DT_STRING, [-1]), "amount": (DataType.DT_INT32, [-1])},
    {"text": (DataType.DT_STRING, [-1]), "total": (DataType.DT_FLOAT, [-1])},
)


def several(inputs):
    return {"text": inputs["name"], "total": inputs["amount"].astype(np.float32) / 2}


@pytest.mark.parametrize("document", [{"x": [1, 2]}, {"data": [1, 2]}], ids=["by name", "data"])
def test_one_example_gets_one_prediction(client, document):
    response = client.post("/predict/m", document)
    assert response.status_code == 200
    assert response.json == {"ok": True, "status": "success", "prediction": [2.0, 4.0], "model": "m", "model_version": "1"}
    assert response.headers["X-Model-Version"] == "1"


def test_several_inputs_and_outputs_go_by_name(client):
    client.fake.models["s"] = {3: Version(several, {"serving_default": SEVERAL})}
    response = client.post("/predict/s", {"name": "caf\u00e9", "amount": 5})
    assert response.json["prediction"] == {"text": "caf\u00e9", "total": 2.5}
    assert response.json["model_version"] == "3"


FOUND = signature({"x": (DataType.DT_FLOAT, [-1, 2])}, {"found": (DataType.DT_FLOAT, [-1])})
MIXED = signature(
    {"x": (DataType.DT_FLOAT, [-1, 2])},
    {"y": (DataType.DT_FLOAT, [-1, 2]), "labels": (DataType.DT_STRING, [1]), "bias": (DataType.DT_FLOAT, [])},
)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1], [1, 0, 2]])
def test_the_shape_of_an_answer_does_not_depend_on_the_data(client, order):
    client.fake.models["found"] = {
        1: Version(lambda inputs: {"found": inputs["x"][inputs["x"] > 0.5]}, {"serving_default": FOUND})
    }
    for count in order:
        response = client.post("/predict/found", {"x": [0.75 if index < count else 0 for index in range(2)]})
        assert response.json["prediction"] == [0.75] * count
        arrays = client.post("/predict/found", {"x": [0.75, 0]}, headers={"Accept": "application/x-npy"})
        assert np.load(io.BytesIO(arrays.data)).shape == (1,)


def test_only_a_dimension_that_counts_examples_is_taken_off(client):
    def run(inputs):
        return {"y": inputs["x"], "labels": np.array([b"cat"], object), "bias": np.float32(2)}

    client.fake.models["mixed"] = {1: Version(run, {"serving_default": MIXED})}
    response = client.post("/predict/mixed", {"x": [1, 2]})
    assert response.json["prediction"] == {"y": [1.0, 2.0], "labels": ["cat"], "bias": 2.0}


def test_a_fixed_batch_of_one_stays_in_the_answer(client):
    fixed = signature({"x": (DataType.DT_FLOAT, [1, 2])}, {"y": (DataType.DT_FLOAT, [1, 2])})
    client.fake.models["fixed"] = {1: Version(lambda inputs: {"y": inputs["x"]}, {"serving_default": fixed})}
    assert client.post("/predict/fixed", {"x": [[1, 2]]}).json["prediction"] == [[1.0, 2.0]]


def test_bare_predict_means_the_only_model(client):
    assert client.post("/predict", {"x": [1, 2]}).json["model"] == "m"


def test_bare_predict_without_setting_or_config_file_asks_for_one(make_client):
    client = make_client()
    client.post("/predict/m", {"x": [1, 2]})
    response = client.post("/predict", {"x": [1, 2]})
    assert response.status_code == 404
    assert response.json["message"] == "say which model: POST /predict/<model>, or set GATEWAY_PREDICT_MODEL"


def test_bare_predict_with_several_models_and_no_setting_names_them(make_client, fake, tmp_path):
    config_file = tmp_path / "both.config"
    entries = "".join(f'config {{ name: "{name}" base_path: "/models/{name}" }}' for name in ("m", "s"))
    config_file.write_text(f"model_config_list {{ {entries} }}")
    fake.models["s"] = {3: Version(several, {"serving_default": SEVERAL})}
    client = make_client(model_config_file=config_file)
    response = client.post("/predict", {"x": [1, 2]})
    assert (response.status_code, response.json["error"]) == (404, "NOT_FOUND")
    assert "m, s" in response.json["message"]
    assert "GATEWAY_PREDICT_MODEL" in response.json["message"]


def test_bare_predict_means_the_model_of_the_setting(make_client):
    client = make_client(predict_model="s")
    client.fake.models["s"] = {3: Version(several, {"serving_default": SEVERAL})}
    assert client.post("/predict", {"name": "a", "amount": 1}).json["model"] == "s"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/predict", "/predict/m"])
def test_predictions_are_post_only(client, method, path):
    response = client.http.open(path, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


def test_every_problem_is_in_one_answer_and_no_call_is_made(client):
    response = client.post("/predict/m", {"x": [1, "two"], "z": 1})
    assert response.status_code == 400
    assert (response.json["ok"], response.json["status"], response.json["error"]) == (False, "error", "BAD_INPUT")
    assert {problem["pointer"] for problem in response.json["details"]} == {"/x/1", "/z"}
    assert all(problem["expected"] and problem["got"] for problem in response.json["details"])
    assert "Predict" not in client.fake.calls


def test_a_shape_that_does_not_fit_is_refused_before_any_call(client):
    response = client.post("/predict/m", {"x": [1, 2, 3]})
    assert response.status_code == 400
    assert [problem["pointer"] for problem in response.json["details"]] == ["/x"]
    assert "Predict" not in client.fake.calls


TEXTS = signature({"s": (DataType.DT_STRING, [-1])}, {"t": (DataType.DT_STRING, [-1])})


@pytest.mark.parametrize("is_known", [False, True], ids=["first request", "known signature"])
@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("/predict/m", '{"x": [1, 2], "x": [1, 2]}', "/x: expected each input once, got a repeated name"),
        ("/predict/m", '{"x": [1, 2], "x": 3}', "/x: expected each input once, got a repeated name"),
        ("/predict/m", '{"data": [1, 2], "d\\u0061ta": [1, 2]}', "/data: expected each input once, got a repeated name"),
        ("/predict/m", f'{{"x": [1, {WIDE}2], "x": [1, 2]}}', "/x: expected each input once, got a repeated name"),
        ("/predict/m", f'{{"x": [1, {WIDE}2], "x": [1, {WIDE}2]}}', "/x: expected each input once, got a repeated name"),
        (
            "/predict/t",
            '{"s": {"b64": "YQ==", "b64": "Yg=="}}',
            '/s: expected string, got an object with "b64" more than once',
        ),
    ],
    ids=["the same", "another", "spelled otherwise", "first large", "both large", "base64"],
)
def test_a_name_that_comes_twice_is_refused_before_any_call(client, path, body, problem, is_known):
    client.fake.models["t"] = {1: Version(lambda inputs: {"t": inputs["s"]}, {"serving_default": TEXTS})}
    if is_known:
        assert client.post("/predict/m", {"x": [1, 2]}).status_code == 200
        assert client.post("/predict/t", {"s": "a"}).status_code == 200
    calls = client.fake.calls.count("Predict")
    response = client.post(path, body)
    assert (response.status_code, response.json["error"]) == (400, "BAD_INPUT")
    assert response.json["message"] == f"1 problem: {problem}"
    assert client.fake.calls.count("Predict") == calls


def test_an_unknown_model_is_404(client):
    response = client.post("/predict/nope", {"x": [1, 2]})
    assert (response.status_code, response.json["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("status", "http_status"),
    [
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNKNOWN, 500),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_failure_of_the_backend_is_predict_failed(client, status, http_status):
    client.post("/predict/m", {"x": [1, 2]})
    client.fake.failures = [(status, "why")] * 2
    response = client.post("/predict/m", {"x": [1, 2]})
    assert (response.status_code, response.json["error"]) == (http_status, "PREDICT_FAILED")


def test_health_is_a_constant(client):
    response = client.get("/health")
    assert (response.status_code, response.json) == (200, {"ok": True, "status": "up"})


def test_twenty_problems_are_told_and_the_others_counted(client):
    response = client.post("/predict/m", {f"n{number}": 1 for number in range(49)} | {"x": [1, 2]})
    assert response.status_code == 400
    assert len(response.json["details"]) == 20
    assert response.json["omitted"] == 29
    assert response.json["message"].endswith("… and 29 more")
    assert "omitted" not in client.post("/predict/m", {"z": 1}).json
