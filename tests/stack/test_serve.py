"""``make serve`` without make: the runner starts the stack, greets, and stops it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import requests

from deploy import readiness
from deploy.part import running
from deploy.readiness import Readiness
from deploy.stack import gateway_environment, stack_from
from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for


def start(log, on_hangup=signal.SIG_DFL, **environment):
    """Start the runner as from a terminal, or with ``signal.SIG_IGN`` as nohup does."""
    before = signal.signal(signal.SIGHUP, on_hangup)
    try:
        return _start(log, environment)
    finally:
        signal.signal(signal.SIGHUP, before)


def _start(log, environment):
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.serve"],
            cwd=ROOT,
            env=os.environ | {name: str(value) for name, value in environment.items()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def started(tmp_path, models_dir, **options):
    """The runner on free ports, ended with SIGTERM if it is still there."""
    log, gateway_port, serving_port = tmp_path / "log", free_port(), free_port()
    process = start(log, **options, GATEWAY_PORT=gateway_port, SERVING_PORT=serving_port, MODELS_DIR=models_dir)
    try:
        yield process, log, gateway_port, serving_port
    finally:
        process.terminate()
        process.wait(60)


def greeted(log, process) -> bool:
    return "stop     Ctrl-C" in log.read_text() or process.poll() is not None


def half_plus_two_answers(gateway_port) -> bool:
    address = f"http://127.0.0.1:{gateway_port}/v1/models/half_plus_two:predict"
    return requests.post(address, json={"instances": [1.0]}, timeout=10).json() == {"predictions": [2.5]}


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
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
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.2", serving_port)) != 0, "only the loopback address leads to the model server"
    finally:
        process.send_signal(number)
        code = process.wait(60)
    assert code == 0
    assert log.read_text().endswith("stopped\n")
    assert processes_with(f"--port={serving_port}") == []
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{gateway_port}/healthz", timeout=5)


def test_under_nohup_the_stack_outlives_its_terminal(models_dir, tmp_path):
    with started(tmp_path, models_dir, on_hangup=signal.SIG_IGN) as (process, log, gateway_port, _):
        wait_for(lambda: greeted(log, process), 90)
        process.send_signal(signal.SIGHUP)
        assert half_plus_two_answers(gateway_port)
        assert process.poll() is None


def test_models_that_have_no_version_or_cannot_be_loaded_are_told_and_the_others_serve(models_dir, tmp_path):
    (models_dir / "empty").mkdir()
    (models_dir / "taken_back" / ".withdrawn-1").mkdir(parents=True)
    (models_dir / "broken" / "1").mkdir(parents=True)
    (models_dir / "broken" / "1" / "saved_model.pb").write_text("x")
    with started(tmp_path, models_dir) as (process, log, gateway_port, _):
        wait_for(lambda: greeted(log, process), 90)
        lines = log.read_text().splitlines()
        assert f"left out: empty: no version in {models_dir}/empty" in lines
        assert any(line.startswith(f"left out: taken_back: every version in {models_dir}/taken_back is with") for line in lines)
        reason = f"INVALID_ARGUMENT: {models_dir}/broken/1/saved_model.pb is no SavedModel, or is damaged: it cannot be parsed"
        assert f"warning: broken: version 1 failed: {reason}" in lines
        assert half_plus_two_answers(gateway_port)


def test_what_is_waited_for_is_told(models_dir, tmp_path):
    """A model server that does not get on holds everything up."""
    with started(tmp_path, models_dir) as (process, log, _, serving_port):
        [server] = wait_for(lambda: processes_with(f"--port={serving_port}"), 60)
        os.kill(server, signal.SIGSTOP)
        try:
            wait_for(
                lambda: ": the model server cannot be reached (and 3 more)" in log.read_text() or process.poll() is not None, 60
            )
        finally:
            os.kill(server, signal.SIGCONT)
        wait_for(lambda: greeted(log, process), 90)
        assert process.poll() is None


@pytest.mark.timeout(300)
def test_what_a_rollout_has_pinned_is_the_same_after_a_restart(models_dir, tmp_path):
    """A version that appears meanwhile answers nobody; with the default policy it would answer everyone."""
    kept = models_dir / ".run"
    with started(tmp_path, models_dir) as (process, log, _, _):
        wait_for(lambda: greeted(log, process), 90)
        assert f"rollouts GATEWAY_STATE_DIR={kept / 'state'} " in log.read_text()
    assert (kept / "state").is_dir()
    config = kept / "models.config"
    entry = 'name: "half_plus_two"'
    config.write_text(config.read_text().replace(entry, f"{entry} model_version_policy {{ specific {{ versions: 1 }} }}"))
    shutil.copytree(models_dir / "half_plus_two" / "1", models_dir / "half_plus_two" / "2")

    with started(tmp_path, models_dir) as (process, log, gateway_port, _):
        wait_for(lambda: greeted(log, process), 90)
        assert "half_plus_two: the version policy specific { versions: 1 } of the run before is kept" in log.read_text()
        address = f"http://127.0.0.1:{gateway_port}/v1/models/half_plus_two:predict"
        answer = requests.post(address, json={"instances": [1.0]}, timeout=10)
        assert answer.headers["X-Model-Version"] == "1"


def test_what_a_shell_has_for_publishing_does_not_stop_the_gateway(models_dir, tmp_path):
    """Nor does it reach it: the key is an operator's, and the gateway has no use for it."""
    shell = {"GATEWAY_URL": "http://127.0.0.1:8080", "GATEWAY_KEY": "sg_admin_0123456789"}
    with started(tmp_path, models_dir, **shell) as (process, log, gateway_port, _):
        wait_for(lambda: greeted(log, process), 90)
        assert half_plus_two_answers(gateway_port)


STATE_FOLDERS = {
    "its models": ({}, "models/.run", "models/.run/state"),
    "a folder that is given": ({"GATEWAY_STATE_DIR": "given"}, "models/.run", "given"),
}


@pytest.mark.parametrize(("environ", "kept_dir", "state_dir"), STATE_FOLDERS.values(), ids=STATE_FOLDERS.keys())
def test_each_folder_of_models_has_its_own_state(tmp_path, monkeypatch, environ, kept_dir, state_dir):
    """Another folder has other models under the same names."""
    monkeypatch.chdir(tmp_path)
    ports = {"GATEWAY_PORT": str(free_port()), "SERVING_PORT": str(free_port())}
    stack = stack_from({"MODELS_DIR": "models"} | ports | environ)

    assert (stack.kept_dir, stack.state_dir) == (tmp_path / kept_dir, tmp_path / state_dir)
    assert gateway_environment(stack, {})["GATEWAY_STATE_DIR"] == str(tmp_path / state_dir)
    assert gateway_environment(stack, {})["GATEWAY_MODEL_CONFIG_FILE"] == str(tmp_path / kept_dir / "models.config")


def test_the_projects_own_models_have_theirs_beside_them():
    stack = stack_from({"GATEWAY_PORT": str(free_port()), "SERVING_PORT": str(free_port())})

    assert (stack.models_dir, stack.kept_dir, stack.state_dir) == (ROOT / "models", ROOT / ".run", ROOT / ".run" / "state")


def model(name, *problems, ready=False):
    return {"name": name, "ready": ready, "available": [], "problems": list(problems)}


NONE = "no version is AVAILABLE"
FAILED = "version 1 failed: NOT_FOUND: no\nfile"
READINESS = {
    "ready": ([model("a", ready=True)], [], Readiness("")),
    "ready, with an older version": (
        [model("a", FAILED, ready=True)],
        [],
        Readiness("", ("a: version 1 failed: NOT_FOUND: no file",)),
    ),
    "failed": (
        [model("a", NONE, FAILED), model("b", ready=True)],
        [f"a: {NONE}; {FAILED}"],
        Readiness("", ("a: version 1 failed: NOT_FOUND: no file",)),
    ),
    "failed, with a version to come": (
        [model("a", NONE, FAILED, "version 2 is LOADING")],
        ["a: is LOADING"],
        Readiness("a: is LOADING", ("a: version 1 failed: NOT_FOUND: no file",)),
    ),
    "one failed, one to come": (
        [model("a", NONE, FAILED), model("b", NONE)],
        ["a: x", "b: y"],
        Readiness("a: x (and 1 more)", ("a: version 1 failed: NOT_FOUND: no file",)),
    ),
    "failed, and not named": (
        [],
        ["models that are not ready: 2, failed: 2"],
        Readiness("", ("models that are not ready: 2, failed: 2",)),
    ),
    "one failed, one to come, and not named": (
        [],
        ["models that are not ready: 2, failed: 1"],
        Readiness("models that are not ready: 2, failed: 1"),
    ),
    "not ready in every worker": ([model("a", ready=True)], ["a: not every worker"], Readiness("a: not every worker")),
}


@pytest.mark.parametrize(("models", "reasons", "expected"), READINESS.values(), ids=READINESS.keys())
def test_waiting_ends_when_each_model_serves_or_has_failed(models, reasons, expected):
    body = json.dumps({"ready": not reasons, "reasons": reasons, "models": models}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if reasons else 200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert readiness.ask(server.server_port) == expected


def test_a_gateway_that_is_not_there_yet_is_waited_for():
    assert readiness.ask(free_port()).waiting_for.startswith("the gateway does not answer yet (")


def test_the_log_of_the_run_before_is_kept(tmp_path):
    log = tmp_path / "gateway.log"
    for text in ("first", "second", "third"):
        with running([sys.executable, "-c", f"print('{text}')"], {}, log) as part:
            part.process.wait(30)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "gateway.log": "third\n",
        "gateway.log.1": "second\n",
    }


def test_the_list_of_commands_needs_no_gnu_sed(tmp_path):
    """The sed of macOS writes a t for a tab."""
    (tmp_path / "sed").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sed").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    listed = subprocess.run(["make"], cwd=ROOT, env=os.environ | {"PATH": path}, check=True, capture_output=True, text=True)
    assert re.search(r"\nmake serve +Run model server and gateway here", listed.stdout)


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
        ({"MODELS_DIR": "/dev/null/models"}, "serve: /dev/null/models cannot be written to (Not a directory)"),
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
