"""One container with a model server and a gateway, as SageMaker and Vertex AI run and ask it."""

import json
import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contained.conftest import LAYOUTS
from tests.contained.process import Contained, curl
from tests.waiting import free_port, wait_for

ROWS, ANSWER = {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}


def in_flight(running: Contained) -> float:
    [value] = re.findall(r"^gateway_in_flight_requests (\S+)$", curl(f"{running.address}/metrics")[1], re.MULTILINE)
    return float(value)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def contained(tmp_path, environment, *arguments):
    running = Contained(tmp_path / "container", environment, *arguments)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sagemaker_pings_and_invokes_it(place_model, tmp_path, layout):
    model_folder = place_model(layout)
    before = sorted(model_folder.rglob("*"))
    port = free_port()
    environment = {"AUTO_MODEL": str(model_folder), "SAGEMAKER_BIND_TO_PORT": str(port)}
    with contained(tmp_path, environment, "serve") as running:
        running.address = address = f"http://127.0.0.1:{port}"
        running.wait_until_ready("/ping")
        status, body = curl(f"{address}/invocations", document=ROWS)
        assert (status, json.loads(body)) == (200, ANSWER)
        attributes = "X-Amzn-SageMaker-Custom-Attributes: tfs-model-name=model,tfs-method=predict"
        assert curl(f"{address}/invocations", "-H", attributes, document=ROWS) == (200, body)
        status, body = curl(f"{address}/invocations", document={"instances": ["one"]})
        assert (status, list(json.loads(body))) == (400, ["error"])
        assert running.stop() == 0
    assert sorted(model_folder.rglob("*")) == before
    assert list(running.tmp.iterdir()) == []


def test_vertex_asks_the_routes_and_the_port_that_it_has_set(place_model, tmp_path):
    port = free_port()
    environment = {
        "AUTO_MODEL": str(place_model("versions")),
        "MODEL_NAME": "flowers",
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    }
    with contained(tmp_path, environment) as running:
        running.address = address = f"http://127.0.0.1:{port}"
        running.wait_until_ready(environment["AIP_HEALTH_ROUTE"])
        status, body = curl(address + environment["AIP_PREDICT_ROUTE"], document=ROWS | {"parameters": {"top": 1}})
        assert (status, json.loads(body)) == (200, ANSWER)
        status, body = curl(f"{address}/v2/models/flowers/ready")
        assert status == 200


def test_a_bucket_that_cannot_be_fetched_ends_the_start(tmp_path):
    environment = {"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": "gs://bucket/model"}
    with contained(tmp_path, environment) as running:
        assert running.process.wait(30) == 1
        [line] = running.log.read_text().splitlines()
        assert line.startswith("container: AIP_STORAGE_URI=gs://bucket/model: nothing in this image can fetch a bucket: ")


def test_settings_that_the_gateway_refuses_end_the_start_before_the_model_server(place_model, tmp_path):
    environment = {"AUTO_MODEL": str(place_model("versions")), "GATEWAY_WORKERS": "many", "GATEWAY_UNKNOWN": "1"}
    with contained(tmp_path, environment) as running:
        assert running.process.wait(30) == 1
        lines = running.log.read_text().splitlines()
    assert len(lines) == 2
    for variable in ("GATEWAY_UNKNOWN", "GATEWAY_WORKERS"):
        assert any(line.startswith(f"container: {variable}") for line in lines), lines


def test_what_is_in_flight_at_sigterm_is_answered_before_the_model_server_ends(place_model, tmp_path):
    environment = {"AUTO_MODEL": str(place_model("versions")), "GATEWAY_PREDICT_TIMEOUT_MS": "60000"}
    with contained(tmp_path, environment) as running, ThreadPoolExecutor(1) as pool:
        running.wait_until_ready()
        server = running.child("model_server")
        os.kill(server, signal.SIGSTOP)
        try:
            answer = pool.submit(curl, f"{running.address}/v1/models/model:predict", document=ROWS)
            # The request for the metrics is one itself.
            wait_for(lambda: in_flight(running) == 2)
            running.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not accepts(running.port))
            assert not answer.done()
        finally:
            os.kill(server, signal.SIGCONT)
        status, body = answer.result(60)
        assert (status, json.loads(body)) == (200, ANSWER)
        assert running.process.wait(60) == 0


@pytest.mark.parametrize(("dies", "name"), [("model_server", "model server"), ("gateway", "gateway")])
def test_when_one_dies_the_other_is_stopped_and_the_container_ends(place_model, tmp_path, dies, name):
    with contained(tmp_path, {"AUTO_MODEL": str(place_model("versions"))}) as running:
        running.wait_until_ready()
        other = running.child("gateway" if dies == "model_server" else "model_server")
        os.kill(running.child(dies), signal.SIGKILL)
        assert running.process.wait(60) == 1
        assert not Path(f"/proc/{other}").exists()
        # Workers of a gateway that was killed may still log for a moment.
        assert f"container: the {name} ended with exit code -9" in running.log.read_text().splitlines()
