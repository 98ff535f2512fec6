"""``make serve`` without make: the runner starts the stack, greets, and stops it."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import requests

from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for


def start(log, **environment):
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.serve"],
            cwd=ROOT,
            env=os.environ | {name: str(value) for name, value in environment.items()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def processes_with(word: str) -> list[int]:
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if word.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_stack_is_started_greets_and_is_stopped(models_dir, tmp_path, number):
    """A model of the user's own that lies in the folder is served too."""
    shutil.copytree(models_dir / "half_plus_two", models_dir / "mine")
    log, gateway_port, serving_port = tmp_path / "log", free_port(), free_port()
    process = start(log, GATEWAY_PORT=gateway_port, SERVING_PORT=serving_port, MODELS_DIR=models_dir)
    try:
        wait_for(lambda: "stop     Ctrl-C" in log.read_text() or process.poll() is not None, 90)
        text = log.read_text()
        assert (
            f"curl -d '{{\"instances\": [1.0, 2.0, 5.0]}}' http://127.0.0.1:{gateway_port}/v1/models/half_plus_two:predict"
            in text
        )
        assert 'answers {"predictions":[2.5,3.0,4.5]}' in text
        for name in ("half_plus_two", "mine"):
            address = f"http://127.0.0.1:{gateway_port}/v1/models/{name}:predict"
            answer = requests.post(address, json={"instances": [1.0, 2.0, 5.0]}, timeout=10)
            assert answer.json() == {"predictions": [2.5, 3.0, 4.5]}
    finally:
        process.send_signal(number)
        code = process.wait(60)
    assert code == 0
    assert log.read_text().endswith("stopped\n")
    assert processes_with(f"--port={serving_port}") == []
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{gateway_port}/healthz", timeout=5)


def test_when_a_part_dies_the_runner_says_which_and_stops_the_other(models_dir, tmp_path):
    log, gateway_port, serving_port = tmp_path / "log", free_port(), free_port()
    process = start(log, GATEWAY_PORT=gateway_port, SERVING_PORT=serving_port, MODELS_DIR=models_dir)
    wait_for(lambda: "stop     Ctrl-C" in log.read_text() or process.poll() is not None, 90)
    [server] = processes_with(f"--port={serving_port}")
    os.kill(server, signal.SIGKILL)
    assert process.wait(60) == 1
    assert "serve: the model server ended with exit code -9; its log:" in log.read_text()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{gateway_port}/healthz", timeout=5)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"GATEWAY_PORT": "http"}, "serve: GATEWAY_PORT=http: expected a port from 1 to 65535\n"),
        ({"SERVING_PORT": "0"}, "serve: SERVING_PORT=0: expected a port from 1 to 65535\n"),
        ({"SERVING_PORT": "8080"}, "serve: GATEWAY_PORT and SERVING_PORT are both 8080: each needs its own\n"),
        ({"MODELS_DIR": "/dev/null/models"}, "serve: /dev/null/models is not writable (Not a directory)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, environment, told):
    process = start(tmp_path / "log", **environment)
    assert process.wait(30) == 1
    text = (tmp_path / "log").read_text()
    assert text.startswith(told)
    assert text.count("\n") == 1


def test_a_taken_port_is_told_before_anything_is_started(stack, tmp_path):
    process = start(tmp_path / "log", GATEWAY_PORT=stack.gateway_port, SERVING_PORT=free_port(), MODELS_DIR=tmp_path / "models")
    assert process.wait(30) == 1
    assert (
        f"port {stack.gateway_port} cannot be used (Address already in use): set GATEWAY_PORT" in (tmp_path / "log").read_text()
    )
    assert not (tmp_path / "models").exists()
