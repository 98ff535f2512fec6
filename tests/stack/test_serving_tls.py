"""TLS between gateway and model server, both real processes: wrong files, and files that are replaced under load."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.authority import Authority, Pair, authority, put, ssl_config
from tests.stack.checking_client import CheckingClient
from tests.stack.conftest import ROOT, Stack
from tests.stack.test_serve import greeted, half_plus_two_answers, started
from tests.waiting import free_port, wait_for

SETTINGS = {"ca": "serving_tls_ca", "certificate": "serving_tls_cert", "key": "serving_tls_key"}


class Made(NamedTuple):
    """Two authorities; the first has signed for the model server and for the gateway."""

    ours: Authority
    theirs: Authority
    server: Pair
    client: Pair


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = authority(folder, "ours"), authority(folder, "theirs")
    return Made(ours, theirs, ours.signed("serving"), ours.signed("gateway"))


@pytest.fixture
def files(made, tmp_path) -> dict[str, Path]:
    """The gateway's files for mutual TLS, which a test may replace."""
    files = {name: tmp_path / f"{name}.pem" for name in SETTINGS}
    mend(files, made)
    return files


def mend(files: dict[str, Path], made: Made) -> None:
    for source, path in zip((made.ours.certificate, *made.client), files.values(), strict=True):
        put(source, path)


def settings(files: dict[str, Path]) -> dict[str, object]:
    return {SETTINGS[name]: path for name, path in files.items()} | {"serving_tls_name": "serving"}


@pytest.fixture
def make_tls_stack(tmp_path, exported):
    """Makes a stack with a model server of TLS; its gateway is not started yet."""
    stacks = []

    def make(config: Path, **settings: object) -> Stack:
        stack = Stack(tmp_path, exported, ("half_plus_two",), **settings)
        stacks.append(stack)
        stack.server_flags = [f"--ssl_config_file={config}"]
        stack.start_server()
        return stack

    yield make
    for stack in stacks:
        stack.stop()


def reasons(stack: Stack) -> list[str]:
    try:
        return stack.get("/readyz").json()["reasons"]
    except requests.ConnectionError:
        return []


def events(stack: Stack, name: str) -> list[dict]:
    return [line for line in stack.log_events() if line["event"] == name]


def warnings(stack: Stack) -> list[dict]:
    """But for that of a model server that does not listen yet."""
    warned = [line for line in stack.log_events() if line["level"] == "warning"]
    return [line for line in warned if line.get("reason") != "nobody answers at this address"]


def test_one_way_tls_carries_predictions_status_and_metadata(make_tls_stack, made, tmp_path):
    config = ssl_config(tmp_path / "ssl.config", made.server)
    stack = make_tls_stack(config, serving_tls_ca=made.ours.certificate, serving_tls_name="serving")
    stack.start_gateway()
    wait_for(stack.is_ready_or_dead, 60)
    model = "/v1/models/half_plus_two"
    assert stack.post(f"{model}:predict", {"instances": [1.0]}).json() == {"predictions": [2.5]}
    assert stack.get(model).json()["model_version_status"][0]["state"] == "AVAILABLE"
    assert stack.get(f"{model}/metadata").json()["model_spec"]["name"] == "half_plus_two"


def test_certificates_replaced_under_load_fail_no_prediction(make_tls_stack, made, files, tmp_path):
    """New ones of another authority, half-written ones, an authority that did not sign, and the first ones again."""
    both = Authority(tmp_path, tmp_path / "both.pem", made.ours.key)
    both.certificate.write_bytes(made.ours.certificate.read_bytes() + made.theirs.certificate.read_bytes())
    stack = make_tls_stack(ssl_config(tmp_path / "ssl.config", made.server, both), **settings(files))
    stack.start_gateway()
    wait_for(stack.is_ready_or_dead, 60)
    with CheckingClient(stack.gateway_port, connections=16) as load:
        wait_for(lambda: load.tally.answered[200] > 100)
        for name, source in zip(("certificate", "key"), made.theirs.signed("second"), strict=True):
            put(source, files[name])
        wait_for(lambda: len(events(stack, "backend.certificate_changed")) == 2)  # in each of two workers
        files["ca"].write_bytes(made.ours.certificate.read_bytes()[:300])
        wait_for(lambda: unusable(stack) == {"GATEWAY_SERVING_TLS_CA": 2})
        put(made.theirs.certificate, files["ca"])
        wait_for(lambda: len([line for line in warnings(stack) if line["event"] == "backend.cannot_connect"]) == 2)
        assert stack.is_ready()
        mend(files, made)
        wait_for(lambda: len(events(stack, "backend.certificate_changed")) == 4)
        answered = load.tally.answered[200]
        wait_for(lambda: load.tally.answered[200] > answered + 100)
    tally = load.tally
    assert set(tally.answered) == {200}
    assert (tally.wrong, tally.lost, tally.cut, tally.never_taken) == ([], 0, 0, 0)
    assert not events(stack, "backend.disconnected")


def unusable(stack: Stack) -> Counter[str]:
    """How many lines name a setting whose file cannot be used."""
    return Counter(line["reason"].partition("=")[0] for line in events(stack, "backend.certificate_unusable"))


def other_ca(files: dict[str, Path], theirs: Authority) -> str:
    put(theirs.certificate, files["ca"])
    return "the model server's certificate is not signed by those of GATEWAY_SERVING_TLS_CA"


def no_ca(files: dict[str, Path], theirs: Authority) -> str:
    files["ca"].write_text("nonsense")
    return "the file of GATEWAY_SERVING_TLS_CA cannot be used"


def other_key(files: dict[str, Path], theirs: Authority) -> str:
    put(theirs.key, files["key"])
    return "the file of GATEWAY_SERVING_TLS_CERT cannot be used"


def other_client(files: dict[str, Path], theirs: Authority) -> str:
    for name, source in zip(("certificate", "key"), theirs.signed("stranger"), strict=True):
        put(source, files[name])
    return "the model server closes the connection: it may not trust the certificate of GATEWAY_SERVING_TLS_CERT"


def test_wrong_files_at_the_start_are_told_until_they_are_mended(make_tls_stack, made, files, tmp_path):
    stack = make_tls_stack(ssl_config(tmp_path / "ssl.config", made.server, made.ours), **settings(files), workers=1)
    for spoil in (other_ca, no_ca, other_key, other_client):
        told = spoil(files, made.theirs)
        stack.start_gateway()
        wait_for(lambda: any("GATEWAY_" in reason for reason in reasons(stack)), 60)
        assert reasons(stack) == [f"the gateway has no connection to the model server: {told}"]
        answer = stack.get("/readyz")
        assert answer.status_code == 503
        refused = stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0]})
        assert refused.status_code == 503
        assert "GATEWAY" not in refused.text
        warned = warnings(stack)
        assert len(warned) == 1, warned
        assert "GATEWAY_SERVING_TLS_" in warned[0]["reason"]
        mend(files, made)
        wait_for(stack.is_ready, 20)
        assert stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0]}).json() == {"predictions": [2.5]}
        assert stack.gateway.stop() == 0
        stack.gateway.log.unlink()


WRONG_SETTINGS = {
    "no client certificate": (("serving_tls_ca", "serving_tls_name"), {}, "GATEWAY_SERVING_TLS_CERT is not set"),
    "another name": (tuple(SETTINGS.values()), {"serving_tls_name": "other"}, "GATEWAY_SERVING_TLS_NAME must be one in it"),
    "no TLS": ((), {}, "GATEWAY_SERVING_TLS_CA is not set"),
}


def test_wrong_settings_are_told(make_tls_stack, made, files, tmp_path):
    stack = make_tls_stack(ssl_config(tmp_path / "ssl.config", made.server, made.ours))
    for kept, changed, told in WRONG_SETTINGS.values():
        stack.settings = {name: value for name, value in settings(files).items() if name in kept} | changed | {"workers": 1}
        stack.start_gateway()
        wait_for(lambda: told in "".join(reasons(stack)), 60)  # noqa: B023
        [warned] = warnings(stack)
        assert told in warned["reason"]
        assert stack.gateway.stop() == 0
        stack.gateway.log.unlink()


def test_a_model_server_without_tls_is_told(make_gateway, made):
    stack = make_gateway(workers=1)
    assert stack.gateway.stop() == 0
    stack.gateway.log.unlink()
    stack.settings = {"serving_tls_ca": made.ours.certificate, "workers": 1}
    stack.start_gateway()
    wait_for(lambda: "the model server speaks no TLS, and GATEWAY_SERVING_TLS_CA is set" in "".join(reasons(stack)), 60)


def test_files_that_are_not_there_or_half_set_stop_the_start_with_one_line(files, tmp_path):
    ca, certificate, key = (str(path) for path in files.values())
    for environment, told in (
        ({"CA": "/nowhere"}, "GATEWAY_SERVING_TLS_CA: expected a PEM file that can be read: [Errno 2]"),
        ({"CA": str(tmp_path)}, "GATEWAY_SERVING_TLS_CA: expected a PEM file that can be read: [Errno 21]"),
        ({"CA": ca, "CERT": certificate, "KEY": "/nowhere"}, "GATEWAY_SERVING_TLS_KEY: expected a PEM file that can be read: "),
        ({"CA": ca, "CERT": certificate}, "GATEWAY_SERVING_TLS_KEY: expected the path of a file, because"),
        ({"CA": ca, "KEY": key}, "GATEWAY_SERVING_TLS_CERT: expected the path of a file, because"),
        ({"CERT": certificate, "KEY": key}, "GATEWAY_SERVING_TLS_CA: expected the path of a file, because"),
        ({"NAME": "serving"}, "GATEWAY_SERVING_TLS_CA: expected the path of a file, because GATEWAY_SERVING_TLS_NAME is given"),
    ):
        given = {f"GATEWAY_SERVING_TLS_{name}": value for name, value in environment.items()}
        done = subprocess.run(
            [sys.executable, "-m", "gateway"],
            cwd=ROOT,
            env=os.environ | given | {"GATEWAY_PORT": str(free_port())},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert line.startswith(f"gateway: {told}")


def test_the_runner_hands_both_sides_their_files(made, models_dir, tmp_path):
    environment = {
        "SERVING_SSL_CONFIG_FILE": ssl_config(tmp_path / "ssl.config", made.server),
        "GATEWAY_SERVING_TLS_CA": made.ours.certificate,
        "GATEWAY_SERVING_TLS_NAME": "serving",
    }
    with started(tmp_path, models_dir, **environment) as (process, log, port, _):
        wait_for(lambda: greeted(log, process), 90)
        assert process.poll() is None, log.read_text()
        assert half_plus_two_answers(port)
