"""Prometheus beside the stack: what it scrapes, with and without a key. Then the stack is as before."""

from collections.abc import Iterator

import pytest

from deploy.observability import prometheus_api
from tests.compose.hardening import assert_no_privileges
from tests.compose.stack import Stack
from tests.compose.traffic import HALF_PLUS_TWO
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

PROFILE = "COMPOSE_PROFILES=monitoring\n"
WITH_KEYS = f"{PROFILE}GATEWAY_KEYS_FILE=/keys/keys.jsonl\nGATEWAY_METRICS_KEY=on\n"


@pytest.fixture(scope="module")
def monitored(stack: Stack) -> Iterator[Stack]:
    """The stack with Prometheus."""
    set_up(stack, PROFILE)
    yield stack
    (stack.directory / ".env").unlink()
    stack.compose("--profile", "*", "rm", "--stop", "--force", "prometheus")
    set_up(stack, "")


def set_up(stack: Stack, settings: str) -> None:
    (stack.directory / ".env").write_text(settings)
    stack.up()
    wait_for(stack.is_ready, 60, 0.2)


def answers(stack: Stack, expr: str) -> dict[str, float]:
    """The numbers of ``expr`` by job; none while Prometheus does not answer."""
    try:
        found = prometheus_api.query(f"http://127.0.0.1:{stack.prometheus_port}", expr)
    except prometheus_api.PrometheusError:
        return {}
    return {series.labels.get("job", ""): series.points[0][1] for series in found}


def test_prometheus_becomes_healthy_and_has_no_privileges(monitored):
    wait_for(lambda: monitored.inspect("prometheus")["State"]["Health"]["Status"] == "healthy", 60, 0.5)
    container = monitored.inspect("prometheus")
    assert_no_privileges(container)
    [[port]] = container["HostConfig"]["PortBindings"].values()
    assert port["HostIp"] == "127.0.0.1"


def test_it_reaches_the_gateway_and_the_model_server(monitored):
    wait_for(lambda: answers(monitored, "up") == {"gateway": 1, "model_server": 1}, 60, 0.5)


def test_it_counts_a_prediction(monitored):
    assert monitored.post("/v1/models/half_plus_two:predict", HALF_PLUS_TWO).status_code == 200
    asked = 'sum by (job) (gateway_requests_total{model="half_plus_two", status="200"})'
    wait_for(lambda: answers(monitored, asked).get("gateway", 0) >= 1, 60, 0.5)


def test_it_evaluates_every_rule(monitored):
    def health() -> set[str]:
        groups = prometheus_api.ask(f"http://127.0.0.1:{monitored.prometheus_port}", "rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    wait_for(lambda: health() == {"ok"}, 60, 0.5)


def test_with_a_key_for_the_metrics_it_goes_on(monitored):
    set_up(monitored, WITH_KEYS)
    assert monitored.get("/metrics").status_code == 401
    key = monitored.run("keys", "new", "prometheus", "--scope", "metrics")
    file = monitored.directory / "deploy" / "observability" / "key" / "metrics.key"
    file.write_text(f"{key}\n")
    wait_for(lambda: monitored.get("/metrics", key).status_code == 200)
    wait_for(lambda: answers(monitored, 'up{job="gateway"}') == {"gateway": 1}, 60, 0.5)
    looked = "sum by (job) (gateway_auth_total{result='ok'})"
    wait_for(lambda: answers(monitored, looked).get("gateway", 0) >= 2, 90, 0.5)
