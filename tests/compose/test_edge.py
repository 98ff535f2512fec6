"""nginx with TLS before the gateway (the profile edge), in the order of this file. Then the stack is as before."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.compose.hardening import assert_no_privileges
from tests.compose.stack import Stack
from tests.compose.traffic import HALF_PLUS_TWO
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

PREDICT = "/v1/models/half_plus_two:predict"
SETTINGS = """COMPOSE_PROFILES=edge
GATEWAY_TRUSTED_PROXIES=172.16.0.0/12
EDGE_HSTS_SECONDS=60
"""


@pytest.fixture(scope="module")
def edge(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Edge"]:
    """The stack with nginx."""
    (stack.directory / ".env").write_text(SETTINGS)
    stack.up()
    wait_for(lambda: stack.inspect("nginx")["State"]["Health"]["Status"] == "healthy", 90, 0.5)
    trusted = tmp_path_factory.mktemp("edge") / "cert.pem"
    trusted.write_text(stack.run_in("nginx", "cat", "/var/tmp/edge-cert.pem"))  # noqa: S108 - nginx's own volume
    yield Edge(stack, trusted)
    (stack.directory / ".env").unlink()
    stack.compose("--profile", "*", "rm", "--stop", "--force", "nginx")
    stack.up()
    wait_for(stack.is_ready, 60, 0.2)


class Edge:
    """What a client outside sees of the stack: HTTPS, by the self-signed certificate ``trusted``."""

    def __init__(self, stack: Stack, trusted: Path) -> None:
        self.stack = stack
        self._trusted = trusted

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        address = f"https://localhost:{self.stack.edge_port}{path}"
        return requests.post(address, data=body, headers=headers, verify=str(self._trusted), timeout=30)

    def logged(self, request_id: str) -> dict[str, Any] | None:
        lines = self.stack.compose("logs", "--no-log-prefix", "nginx").replace("\x1b[2K", "").splitlines()
        found = (json.loads(line) for line in lines if f'"id":"{request_id}"' in line)
        return next(found, None)

    def certificate(self) -> str:
        return ssl.get_server_certificate(("127.0.0.1", self.stack.edge_port), timeout=10)


def test_a_prediction_by_https_has_one_id_from_nginx_to_the_gateway(edge):
    answer = edge.post(PREDICT, json.dumps(HALF_PLUS_TWO).encode())
    assert answer.status_code == 200, answer.text
    assert answer.headers["Strict-Transport-Security"] == "max-age=60"
    request_id = answer.headers["X-Request-Id"]
    line = wait_for(lambda: edge.logged(request_id), 10, 0.2)
    assert (line["status"], line["path"]) == (200, PREDICT)
    wait_for(lambda: f'"id":"{request_id}"' in edge.stack.compose("logs", "--no-log-prefix", "gateway"), 10, 0.2)


def test_a_body_that_needs_a_file_goes_through(edge):
    body = json.dumps({"instances": [1.0]}).encode() + b" " * 3_000_000
    answer = edge.post(PREDICT, body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [2.5]})


def test_the_container_has_no_privileges_and_one_port(edge):
    container = edge.stack.inspect("nginx")
    assert_no_privileges(container)
    assert list(container["HostConfig"]["PortBindings"]) == ["8443/tcp"]


def test_the_certificate_is_the_same_after_a_new_start(edge):
    before = edge.certificate()
    edge.stack.compose("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "nginx")
    wait_for(lambda: edge.stack.inspect("nginx")["State"]["Health"]["Status"] == "healthy", 60, 0.5)
    assert edge.certificate() == before


def test_a_new_gateway_is_found_wherever_it_is(edge):
    stack = edge.stack
    stack.compose("stop", "gateway")
    assert edge.post(PREDICT, b"{}").status_code in (502, 504)
    # Another container takes the address that the gateway had.
    taker = stack.compose("run", "--detach", "--no-deps", "--entrypoint", "sleep", "gateway", "600")
    try:
        stack.compose("up", "--detach", "--no-build", "gateway")
        wait_for(lambda: edge.post(PREDICT, b'{"instances": [1.0]}').status_code == 200, 90, 0.5)
    finally:
        stack.docker("rm", "--force", taker)
