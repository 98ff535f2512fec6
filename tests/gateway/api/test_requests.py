"""What every answer has: an id, a log line, honest statuses for what goes wrong around the prediction."""

import json
import threading
from urllib.parse import unquote

import grpc
import pytest

from gateway.app import close, create_app
from tests.gateway.conftest import Client, settings
from tests.gateway.fake_serving import FakeServing, serving
from tests.waiting import free_port, wait_for

ROUTES = ["/v1/models/m", "/v1/models/nope", "/v1/nope", "/predict", "/health", "/healthz", "/readyz", "/metrics", "/nope"]


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_has_a_request_id(client, path):
    assert len(client.get(path).headers["X-Request-Id"]) == 32
    assert client.get(path, headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "x" * 129, "with space", "caf\u00e9"])
def test_an_id_that_does_not_fit_is_replaced(client, given):
    assert len(client.get("/health", headers={"X-Request-Id": given}).headers["X-Request-Id"]) == 32


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/models", "/v2", "/healthz"])
def test_an_upgrade_that_is_not_served_is_ignored(client, path):
    assert client.get(path, headers={"Connection": "Upgrade", "Upgrade": "websocket"}).status_code == 200


@pytest.mark.parametrize("path", ["//v1/models/nope", "/%76%31/models/nope", "/v1%2fmodels/nope", "//v2/models/nope"])
def test_a_refusal_has_the_shape_of_the_dialect_that_refuses_however_its_path_is_written(client, path):
    overrides = {"RAW_URI": path, "REQUEST_URI": path, "PATH_INFO": unquote(path)}
    response = client.get("/", environ_overrides=overrides)
    assert response.status_code in (400, 404)
    assert list(response.json) == ["error"]


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/predict/m"])
def test_a_body_over_the_limit_is_413_in_the_dialect(make_client, path):
    client = make_client(max_body_bytes=100)
    response = client.post(path, {"instances": [[1, 2]] * 100})
    assert response.status_code == 413
    assert "100 bytes" in (response.json.get("message") or response.json["error"])
    assert response.json["error"] == "PAYLOAD_TOO_LARGE" or path.startswith("/v1")


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/predict/m"])
def test_a_model_that_takes_too_long_is_504(make_client, path):
    client = make_client(predict_timeout_ms=300)
    client.fake.release.clear()
    response = client.post(path, {"inputs": [[1, 2]]} if "v1" in path else {"x": [1, 2]})
    assert response.status_code == 504
    assert "300 ms" in json.dumps(response.json)


def test_while_the_server_is_away_the_answer_is_503_with_retry_after_and_at_once():
    app = create_app(settings(free_port(), predict_timeout_ms=60_000))
    client = Client(app, FakeServing())
    for path, document in (("/v1/models/m:predict", {"inputs": 1}), ("/predict/m", {"x": 1})):
        response = client.post(path, document)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert "cannot be reached" in response.text
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    close(app)


def test_readiness_tells_the_reason_for_each_model(tmp_path):
    config_file = tmp_path / "models.config"
    entries = "".join(f'config {{ name: "{name}" base_path: "/models/{name}" }}' for name in ("m", "empty"))
    config_file.write_text(f"model_config_list {{ {entries} }}")
    port = free_port()
    app = create_app(settings(port, model_config_file=config_file))
    client = Client(app, FakeServing())
    wait_for(lambda: "cannot be reached" in client.get("/readyz").text)
    assert {model["name"]: model["ready"] for model in client.get("/readyz").json["models"]} == {"m": False, "empty": False}
    with serving(client.fake, port):
        reasons = ["empty: Could not find any versions of model empty"]
        wait_for(lambda: client.get("/readyz").json["reasons"] == reasons)
        assert client.get("/readyz").json["ready"] is False
        assert {model["name"]: model["ready"] for model in client.get("/readyz").json["models"]} == {"m": True, "empty": False}
    close(app)


def test_a_backend_error_in_readiness_is_no_stack_trace(client):
    client.fake.failures = [(grpc.StatusCode.INTERNAL, "why")]
    assert client.post("/v1/models/m:predict", {"inputs": [[1, 2]]}).json == {"error": "why"}


def test_metrics_count_by_model_version_signature_and_status_with_bounded_labels(client):
    client.post("/v1/models/m:predict", {"inputs": [[1, 2], [3, 4]]})
    client.post("/v1/models/m:predict", {"inputs": "x"})
    client.post("/v1/models/unheard-of:predict", {"inputs": [[1, 2]]})
    text = client.get("/metrics").text
    assert 'gateway_requests_total{model="m",signature="serving_default",status="200",version="1"}' in text
    assert 'gateway_requests_total{model="m",signature="serving_default",status="400",version="1"}' in text
    assert 'gateway_requests_total{model="",signature="",status="404",version=""}' in text
    assert "unheard-of" not in text
    assert 'gateway_model_ready{model="m"} 1.0' in text
    assert 'gateway_rows_total{model="m",signature="serving_default",version="1"}' in text


def test_requests_at_the_same_time_do_not_see_each_other(client):
    answers = {}

    def call(number):
        answers[number] = client.http.application.test_client().post(
            "/v1/models/m:predict", data=json.dumps({"instances": [[number, number]]}), headers={"X-Request-Id": f"id-{number}"}
        )

    threads = [threading.Thread(target=call, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, response in answers.items():
        assert response.json == {"predictions": [[2.0 * number, 2.0 * number]]}
        assert response.headers["X-Request-Id"] == f"id-{number}"


def test_a_signature_name_of_absurd_length_reaches_neither_answer_nor_log_nor_metrics(client, capsys):
    name = "evil" * 100_000
    response = client.post("/v1/models/m:predict", {"signature_name": name, "inputs": [[1, 2]]})
    assert response.status_code == 400
    assert len(response.data) < 2000
    assert "evil" not in client.get("/metrics").text
    written = capsys.readouterr()
    assert "evil" in written.out + written.err
    assert len(written.out + written.err) < 10_000
