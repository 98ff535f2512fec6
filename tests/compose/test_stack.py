"""`docker compose up` from nothing, and what an operator then does: in the order of this file, whose last test removes it."""

import json
import subprocess
from pathlib import Path

import pytest
import requests
from sklearn.datasets import load_digits

from tests.compose.hardening import assert_no_privileges
from tests.compose.stack import CommandError, Stack
from tests.compose.traffic import HALF_PLUS_TWO, Traffic
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

LARGEST_GATEWAY_IMAGE_BYTES = 300_000_000
LONG_RUNNING = ("serving", "gateway")
BASKET_ROW = {"sku": "mug", "quantity": 3, "unit_price": 7.5, "express": True}


def predictions(stack: Stack, model: str, *instances: object) -> list:
    reply = stack.post(f"/v1/models/{model}:predict", {"instances": list(instances)})
    assert reply.status_code == 200, reply.text
    return reply.json()["predictions"]


def test_the_gateway_is_ready_with_every_model_of_the_config_file(stack):
    models = stack.get("/readyz").json()["models"]
    assert {model["name"]: model["available"] for model in models} == {
        name: ["1"] for name in ("half_plus_two", "dense", "digits", "basket")
    }


def test_half_plus_two_answers_as_upstreams_guide_says(stack):
    assert predictions(stack, "half_plus_two", 1.0, 2.0, 5.0) == [2.5, 3.0, 4.5]


def test_dense_answers_near_the_sum(stack):
    reply = stack.post("/predict", {"features": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]})
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == "dense"
    assert reply.json()["prediction"] == pytest.approx(5.5, abs=0.5)


def test_digits_reads_handwriting(stack):
    digits = load_digits()
    answers = predictions(stack, "digits", *({"image": image.tolist()} for image in digits.images[:20]))
    right = sum(answer["label"] == target for answer, target in zip(answers, digits.target[:20], strict=True))
    assert right >= 18


def test_basket_prices_text_numbers_and_flags(stack):
    (answer,) = predictions(stack, "basket", BASKET_ROW)
    assert answer["total_cents"] == 2740
    assert answer["summary"] == "3 mug à 7.50 € = 27.40 € express"
    assert answer["barcode_bytes"].keys() == {"b64"}


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_a_service_becomes_healthy(stack, service):
    wait_for(lambda: stack.inspect(service)["State"]["Health"]["Status"] == "healthy", 60, 0.5)


@pytest.mark.parametrize("service", ["export", *LONG_RUNNING])
def test_a_container_has_no_privileges_to_lose(stack, service):
    assert_no_privileges(stack.inspect(service))


# The gateway writes into /serving_config during a rollout, if the folder is its user's: see test_rollout.py.
@pytest.mark.parametrize(("service", "beside"), [("serving", "/serving_config/written"), ("gateway", "/keys/written")])
def test_a_running_service_can_write_nowhere_but_in_tmp_and_what_is_its_own(stack, service, beside):
    stack.run_in(service, "touch", "/tmp/written")  # noqa: S108 - a container's own
    for path in ("/written", "/app/written", "/models/written", beside):
        with pytest.raises(CommandError, match=r"Read-only file system|No such file"):
            stack.run_in(service, "touch", path)


def test_the_gateway_is_not_root(stack):
    assert stack.run_in("gateway", "id", "-u") == "1000"


def test_the_gateway_image_is_small(stack):
    image = json.loads(stack.docker("image", "inspect", stack.inspect("gateway")["Image"]))[0]
    assert image["Size"] < LARGEST_GATEWAY_IMAGE_BYTES


def test_the_gateway_image_has_tensorflows_messages_and_not_its_runtime(stack):
    assert stack.run_in("gateway", "python", "-c", "import gateway.backend.stubs as s; print(s.TensorProto.DESCRIPTOR.name)")
    with pytest.raises(CommandError, match="no attribute 'constant'"):
        stack.run_in("gateway", "python", "-c", "import tensorflow; tensorflow.constant(1)")


def test_a_start_over_a_filled_folder_builds_no_further_versions(stack):
    assert "kept model=dense version=1" in stack.compose("run", "--rm", "-T", "export", "build", "--all", "--if-missing")


def test_a_new_version_is_served_and_rolled_back_without_a_failed_request(stack, say):
    with Traffic(stack.port) as traffic:
        wait_for(lambda: traffic.last.version == "1")
        say("rolling out version 2 of half_plus_two under load")
        stack.compose("run", "--rm", "-T", "export", "build", "half_plus_two")
        wait_for(lambda: traffic.last.version == "2", 30)
        say("rolling it back")
        stack.compose("run", "--rm", "-T", "export", "rollback", "half_plus_two")
        wait_for(lambda: traffic.last.version == "1", 30)
    assert [answer for answer in traffic.answers if answer.status != 200] == []


def test_a_model_is_added_without_a_restart(stack, say):
    started = stack.inspect("serving")["State"]["StartedAt"]
    stack.compose("run", "--rm", "-T", "export", "publish", "/models/half_plus_two/1", "--name", "added")
    config = stack.directory / "serving_config" / "models.config"
    entry = '  config { name: "added" base_path: "/models/added" model_platform: "tensorflow" }\n}\n'
    before = config.read_text()
    config.write_text(before.rstrip().removesuffix("}") + entry)
    say("a model was added to models.config")
    wait_for(lambda: stack.post("/v1/models/added:predict", HALF_PLUS_TWO).status_code == 200, 30, 0.2)
    wait_for(lambda: "added" in {model["name"] for model in stack.get("/readyz").json()["models"]}, 30, 0.2)
    config.write_text(before)  # a later start finds only models that are there
    assert stack.inspect("serving")["State"]["StartedAt"] == started


def test_while_the_model_server_is_down_the_gateway_says_when_to_come_back(stack, say):
    say("killing the model server")
    stack.compose("kill", "serving")
    wait_for(lambda: not stack.is_ready(), 15, 0.2)
    reply = stack.post("/v1/models/half_plus_two:predict", HALF_PLUS_TWO)
    assert reply.status_code == 503, reply.text
    assert int(reply.headers["Retry-After"]) > 0
    assert stack.get("/healthz").status_code == 200
    stack.up("serving")
    wait_for(stack.is_ready, 60, 0.2)
    assert predictions(stack, "half_plus_two", 1.0) == [2.5]


def test_a_model_server_that_dies_is_started_again(stack, say):
    say("crashing the model server")
    restarts = stack.inspect("serving")["RestartCount"]
    stack.docker("exec", stack.inspect("serving")["Id"], "bash", "-c", "kill -KILL -1 2>/dev/null; true")
    wait_for(lambda: stack.inspect("serving")["RestartCount"] > restarts, 30, 0.2)
    # Ready may still be what the gateway found before the crash, so it is the answer that is waited for.
    wait_for(lambda: stack.post("/v1/models/half_plus_two:predict", HALF_PLUS_TWO).status_code == 200, 60, 0.2)
    wait_for(stack.is_ready, 10, 0.2)
    assert predictions(stack, "half_plus_two", 1.0) == [2.5]


def test_with_a_certificate_the_gateway_speaks_https_and_stays_healthy(stack, say):
    folder = stack.directory / "deploy" / "tls"
    make_certificate(folder)
    (stack.directory / ".env").write_text("GATEWAY_TLS_CERT=/tls/cert.pem\nGATEWAY_TLS_KEY=/tls/key.pem\n")
    say("giving the gateway a certificate")
    stack.up("gateway")
    address = f"https://localhost:{stack.port}"
    wait_for(lambda: is_reached(f"{address}/readyz", folder / "cert.pem"), 60, 0.2)
    reply = requests.post(
        f"{address}/v1/models/half_plus_two:predict", json=HALF_PLUS_TWO, verify=folder / "cert.pem", timeout=10
    )
    assert reply.status_code == 200, reply.text
    wait_for(lambda: stack.inspect("gateway")["State"]["Health"]["Status"] == "healthy", 60, 0.5)
    assert not is_reached(f"http://localhost:{stack.port}/healthz")


def is_reached(address: str, trusted: Path | None = None) -> bool:
    try:
        return requests.get(address, verify=trusted, timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def make_certificate(folder: Path) -> None:
    """As deploy/tls/README.md says: the key is readable for the container's user."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)


def test_the_gateway_stops_when_it_is_told_to(stack):
    stack.compose("stop", "gateway")
    assert stack.inspect("gateway")["State"]["ExitCode"] == 0


def test_down_leaves_nothing(stack, say):
    say("docker compose down -v")
    assert all(stack.left_over().values())
    # Those of the profiles are from the tests of keys and log, which came before.
    stack.compose("--profile", "*", "down", "--volumes")
    assert not any(stack.left_over().values())
