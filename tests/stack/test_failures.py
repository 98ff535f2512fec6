"""The model server goes and comes back; the gateway stops in order; several workers count as one."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

GOOD = {"instances": [1.0, 2.0, 5.0]}


def predict(stack):
    return stack.post("/v1/models/half_plus_two:predict", GOOD)


def test_while_the_server_is_away_every_answer_is_503_and_its_return_is_noticed(make_stack):
    stack = make_stack(predict_timeout_ms=20_000)
    assert predict(stack).status_code == 200
    stack.server.stop(signal.SIGKILL)
    for _ in range(3):
        started_s = time.monotonic()
        response = predict(stack)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert "cannot be reached" in response.json()["error"]
        # Not a matter of speed: the deadline is 20 s, and it was not waited for.
        assert time.monotonic() - started_s < 10
    away = ["half_plus_two: the model server cannot be reached"]
    wait_for(lambda: stack.get("/readyz").json()["reasons"] == away)
    assert stack.get("/readyz").status_code == 503
    assert stack.get("/healthz").status_code == 200
    stack.start_server()
    wait_for(lambda: stack.server.log.read_text().count("server.ready") == 2, 60)
    wait_for(lambda: predict(stack).status_code == 200, timeout_s=2)
    wait_for(stack.is_ready, timeout_s=2)


def test_sigterm_lets_requests_in_flight_end_and_exits_with_0(make_gateway):
    stack = make_gateway(drain_delay_ms=1500)
    session = requests.Session()
    with ThreadPoolExecutor(4) as pool:
        flying = [pool.submit(lambda: [predict(stack).status_code for _ in range(20)]) for _ in range(4)]
        wait_for(lambda: len(stack.log_events()) > 20)
        stack.gateway.process.send_signal(signal.SIGTERM)
        wait_for(lambda: session.get(f"{stack.address}/readyz", timeout=5).status_code == 503, timeout_s=5)
        assert session.get(f"{stack.address}/readyz", timeout=5).json()["reasons"] == ["the gateway is shutting down"]
        statuses = [status for future in flying for status in future.result()]
    assert statuses == [200] * 80
    assert stack.gateway.process.wait(40) == 0


def test_ctrl_c_ends_the_gateway_with_0(make_gateway):
    stack = make_gateway()
    assert stack.gateway.stop(signal.SIGINT) == 0


def test_metrics_are_those_of_all_workers(make_gateway):
    stack = make_gateway(workers=3)
    for _ in range(60):
        assert predict(stack).status_code == 200
    sample = re.compile(r'gateway_requests_total\{model="half_plus_two",.*status="200",version="1"\} (\S+)')

    def counted() -> float:
        found = sample.search(stack.get("/metrics").text)
        assert found is not None
        return float(found[1])

    wait_for(lambda: counted() == 60)  # each worker writes in a moment what others read
    assert {counted() for _ in range(10)} == {60}


def test_every_request_is_one_line_of_json(make_gateway):
    stack = make_gateway()
    response = stack.post("/v1/models/half_plus_two:predict", GOOD, headers={"X-Request-Id": "mine"})
    assert response.headers["X-Request-Id"] == "mine"
    [event] = wait_for(lambda: [event for event in stack.log_events() if event.get("id") == "mine"])
    assert {
        "model": "half_plus_two",
        "version": 1,
        "signature": "serving_default",
        "rows": 3,
        "status": 200,
    }.items() <= event.items()
    assert {"parse_ms", "queue_ms", "backend_ms", "total_ms"} <= event.keys()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT='http': expected a whole number from 1 to 65535"),
        ({"GATEWAY_PROT": "1"}, "GATEWAY_PROT: there is no such setting; did you mean GATEWAY_PORT?"),
        ({"GATEWAY_MODEL_CONFIG_FILE": "no/such/file"}, "GATEWAY_MODEL_CONFIG_FILE: no/such/file: No such file or directory"),
        ({"GATEWAY_SERVING_TARGET": "nonsense"}, "GATEWAY_SERVING_TARGET='nonsense': expected host:port or a gRPC target"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting_stops_the_start_with_one_line(tmp_path, environment, told):
    process = Process(tmp_path / "log", ["gateway"], environment)
    assert process.process.wait(20) == 1
    assert (tmp_path / "log").read_text() == f"gateway: {told}\n"


def test_a_taken_port_stops_the_start_with_one_line(stack, tmp_path):
    process = Process(tmp_path / "log", ["gateway"], {"GATEWAY_PORT": str(stack.gateway_port)})
    assert process.process.wait(20) == 1
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1
    assert "Address already in use" in text


def test_the_gateway_starts_without_a_server_and_says_so(tmp_path):
    port = free_port()
    environment = {"GATEWAY_PORT": str(port), "GATEWAY_SERVING_TARGET": f"127.0.0.1:{free_port()}"}
    process = Process(tmp_path / "log", ["gateway"], environment)

    def status(path: str) -> int | None:
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code
        except requests.ConnectionError:
            return None

    wait_for(lambda: status("/healthz") == 200)
    assert status("/readyz") == 503
    assert process.stop() == 0
