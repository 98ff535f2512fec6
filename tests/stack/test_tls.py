"""HTTPS by two settings: ``python -m gateway`` and ``make serve`` with a certificate that was made here."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import requests
import yaml

from deploy import readiness
from gateway.server.tls import CertificateFiles
from tests.gateway.fake_serving import FakeServing, serving
from tests.gateway.server.certificates import certificate
from tests.stack.conftest import ROOT, Process
from tests.stack.test_serve import greeted, started
from tests.waiting import free_port, wait_for

BODY = {"instances": [[1, 2]]}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> CertificateFiles:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> CertificateFiles:
    return certificate(tmp_path_factory.mktemp("other"), "other")


def settings(files: CertificateFiles, **others: object) -> dict[str, str]:
    values = {"tls_cert": files.certificate, "tls_key": files.key, "workers": 2, **others}
    return {f"GATEWAY_{name.upper()}": str(value) for name, value in values.items()}


def test_the_gateway_answers_https_and_nothing_else(files, tmp_path):
    port, models = free_port(), tmp_path / "models.config"
    models.write_text('model_config_list { config { name: "m" base_path: "/none" model_platform: "tensorflow" } }')
    with serving(FakeServing()) as serving_port:
        environment = settings(files, port=port, serving_target=f"127.0.0.1:{serving_port}", model_config_file=models)
        gateway = Process(tmp_path / "gateway.log", ["gateway"], environment)
        try:
            wait_for(lambda: answers(f"https://localhost:{port}/readyz", files) or gateway.process.poll() is not None, 30)
            answer = requests.post(
                f"https://localhost:{port}/v1/models/m:predict", json=BODY, timeout=10, verify=str(files.certificate)
            )
            assert (answer.status_code, answer.json()) == (200, {"predictions": [[2.0, 4.0]]})
            assert not answers(f"http://localhost:{port}/healthz", files)
            page = requests.get(f"https://localhost:{port}/", timeout=10, verify=str(files.certificate)).json()
            assert f"https://localhost:{port}/" in page["example"]
            # The other worker may have begun only now, and not have asked the model server yet.
            wait_for(lambda: readiness.ask(port, "https") == readiness.Readiness(""))
            assert health_check(port, settings(files)) == 0
            assert health_check(port, {}) != 0
        finally:
            code = gateway.stop()
    assert code == 0
    assert "Traceback" not in gateway.log.read_text()


def health_check(port: int, environment: dict[str, str]) -> int:
    """The exit code of the program by which Docker asks the gateway's container how it is."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    command, python, flag, program = services["gateway"]["healthcheck"]["test"]
    assert (command, python, flag, program.count("8080")) == ("CMD", "python", "-c", 1)
    done = subprocess.run(
        [sys.executable, "-c", program.replace("8080", str(port))],
        env=os.environ | environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode


def answers(url: str, trusted: CertificateFiles) -> bool:
    try:
        return requests.get(url, timeout=10, verify=str(trusted.certificate)).status_code == 200
    except requests.ConnectionError:
        return False


def no_pem(files: CertificateFiles, other: CertificateFiles) -> None:
    files.certificate.write_text("nonsense")


def another_key(files: CertificateFiles, other: CertificateFiles) -> None:
    shutil.copy(other.key, files.key)


def no_key(files: CertificateFiles, other: CertificateFiles) -> None:
    files.key.unlink()


def a_folder(files: CertificateFiles, other: CertificateFiles) -> None:
    files.certificate.unlink()
    files.certificate.mkdir()


def key_with_password(files: CertificateFiles, other: CertificateFiles) -> None:
    command = ["openssl", "ec", "-in", str(other.key), "-out", str(files.key), "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("spoil", [no_pem, another_key, key_with_password], ids=lambda spoil: spoil.__name__)
def test_files_that_do_not_fit_stop_the_start_with_one_line_that_names_both_settings(files, other, tmp_path, spoil):
    spoiled = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    shutil.copy(files.certificate, spoiled.certificate)
    shutil.copy(files.key, spoiled.key)
    spoil(spoiled, other)
    told = refused(settings(spoiled))
    assert told.startswith(
        f"gateway: GATEWAY_TLS_CERT={spoiled.certificate} GATEWAY_TLS_KEY={spoiled.key}: expected a PEM cert"
    )
    assert told.count("\n") == 1


@pytest.mark.parametrize(("spoil", "setting"), [(a_folder, "GATEWAY_TLS_CERT"), (no_key, "GATEWAY_TLS_KEY")])
def test_a_file_that_cannot_be_read_stops_the_start_with_one_line_that_names_its_setting(files, tmp_path, spoil, setting):
    spoiled = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    shutil.copy(files.certificate, spoiled.certificate)
    shutil.copy(files.key, spoiled.key)
    spoil(spoiled, files)
    told = refused(settings(spoiled))
    assert told.startswith(f"gateway: {setting}: expected a PEM file that can be read: [Errno ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(("given", "missing"), [("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")])
def test_one_file_without_the_other_stops_the_start(files, given, missing):
    told = refused({f"GATEWAY_{given}": str(files.certificate)})
    assert told.startswith(f"gateway: GATEWAY_{missing}: expected the path of a file, because")
    assert told.count("\n") == 1


def refused(environment: dict[str, str]) -> str:
    """What a gateway prints that does not start."""
    given = os.environ | environment | {"GATEWAY_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "gateway"], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_the_runner_becomes_ready_and_greets_with_https(files, models_dir, tmp_path):
    environment = {"GATEWAY_TLS_CERT": files.certificate, "GATEWAY_TLS_KEY": files.key}
    with started(tmp_path, models_dir, **environment) as (process, log, port, _):
        wait_for(lambda: greeted(log, process), 90)
        lines = log.read_text().splitlines()
        assert f"ready: https://127.0.0.1:{port}" in lines
        assert f"page     https://127.0.0.1:{port}/" in lines
        [curl] = [line.strip() for line in lines if "curl" in line]
        told = subprocess.run(["sh", "-c", curl], capture_output=True, timeout=30, check=True)
        assert json.loads(told.stdout) == {"predictions": [2.5, 3.0, 4.5]}
        assert process.poll() is None
