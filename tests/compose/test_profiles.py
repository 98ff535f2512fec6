"""One request through nginx, keys, limits, the prediction log, traces and metrics. Then the stack is as before."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deploy.observability import prometheus_api
from tests.compose.stack import POSTGRES_PASSWORD, Stack
from tests.compose.traffic import HALF_PLUS_TWO
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

PREDICT = "/v1/models/half_plus_two:predict"
BESIDE = ("nginx", "redis", "postgres", "prometheus")
SETTINGS = f"""COMPOSE_PROFILES=edge,monitoring,redis,postgres
GATEWAY_TRUSTED_PROXIES=172.16.0.0/12
GATEWAY_KEYS_FILE=/keys/keys.jsonl
GATEWAY_REDIS_URL=redis://redis:6379/0
GATEWAY_PREDICTION_LOG=postgresql://gateway@postgres/predictions
GATEWAY_TRACES_FILE=/log/traces.jsonl
POSTGRES_PASSWORD={POSTGRES_PASSWORD}
TF_CPP_MAX_VLOG_LEVEL=1
"""


class Whole:
    """The stack as a client outside sees it, with a key."""

    def __init__(self, stack: Stack, trusted: Path, key: str) -> None:
        self.stack = stack
        self._trusted = str(trusted)
        self.key = key
        self.trace_id = secrets.token_hex(16)
        self.answer: requests.Response | None = None

    def post(self, **headers: str) -> requests.Response:
        address = f"https://localhost:{self.stack.edge_port}{PREDICT}"
        return requests.post(address, json=HALF_PLUS_TWO, headers=headers, verify=self._trusted, timeout=30)

    def logged(self, service: str, text: str) -> list[str]:
        lines = self.stack.compose("logs", "--no-log-prefix", service).replace("\x1b[2K", "").splitlines()
        return [line for line in lines if text in line]


@pytest.fixture(scope="module")
def whole(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    (stack.directory / ".env").write_text(SETTINGS)
    stack.up()
    wait_for(stack.is_ready, 60, 0.2)
    for service in BESIDE:
        wait_for(lambda service=service: stack.inspect(service)["State"]["Health"]["Status"] == "healthy", 90, 0.5)
    trusted = tmp_path_factory.mktemp("edge") / "cert.pem"
    trusted.write_text(stack.run_in("nginx", "cat", "/var/tmp/edge-cert.pem"))  # noqa: S108 - nginx's own volume
    key = stack.run("keys", "new", "carol", "--limit", "3/min")
    wait_for(lambda: stack.get("/v1/models", key).status_code == 200)
    yield Whole(stack, trusted, key)
    (stack.directory / ".env").unlink()
    stack.compose("--profile", "*", "rm", "--stop", "--force", *BESIDE)
    stack.up()
    wait_for(stack.is_ready, 60, 0.2)


def test_without_a_key_it_is_a_401_and_with_one_a_prediction(whole):
    assert whole.post().status_code == 401
    traceparent = f"00-{whole.trace_id}-00f067aa0ba902b7-01"
    whole.answer = whole.post(Authorization=f"Bearer {whole.key}", traceparent=traceparent)
    assert (whole.answer.status_code, whole.answer.json()) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_one_request_id_is_in_nginx_the_gateway_and_postgresql(whole):
    request_id = whole.answer.headers["X-Request-Id"]
    for service in ("nginx", "gateway"):
        [line] = wait_for(lambda service=service: whole.logged(service, f'"id":"{request_id}"'), 10, 0.2)
        assert json.loads(line)["status"] == 200
    query = f"select key, model, status, trace_id from predictions where request_id = '{request_id}'"  # noqa: S608 - an id of ours
    psql = ("psql", "--username=gateway", "--tuples-only", "--no-align", f"--command={query}", "predictions")
    wait_for(lambda: whole.stack.run_in("postgres", *psql) == f"carol|half_plus_two|200|{whole.trace_id}", 10, 0.2)


def test_one_trace_id_goes_from_nginx_to_the_model_server(whole):
    for service in ("nginx", "gateway"):
        assert wait_for(lambda service=service: whole.logged(service, f'"trace_id":"{whole.trace_id}"'), 10, 0.2)
    assert wait_for(lambda: whole.logged("serving", f"00-{whole.trace_id}-"), 10, 0.2)
    wait_for(lambda: whole.trace_id in whole.stack.run_in("gateway", "cat", "/log/traces.jsonl"), 10, 0.2)


def test_prometheus_counts_it(whole):
    expr = 'sum(gateway_requests_total{model="half_plus_two", status="200"})'

    def counted() -> bool:
        found = prometheus_api.query(f"http://127.0.0.1:{whole.stack.prometheus_port}", expr)
        return bool(found) and found[0].points[0][1] >= 1

    wait_for(counted, 60, 0.5)


def test_above_the_limit_it_is_a_429(whole):
    statuses = [whole.post(Authorization=f"Bearer {whole.key}").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_no_secret_is_in_any_log(whole):
    secret = whole.key[13:]
    assert secret not in whole.stack.logs()
    assert secret not in whole.stack.run_in("gateway", "cat", "/log/traces.jsonl")
