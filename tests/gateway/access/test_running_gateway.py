"""Keys of a running gateway with several workers: changes count in all of them under load, and nothing written is a secret."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from gateway.access import key_text, last_use
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import FakeServing, serving
from tests.gateway.two_ways.servers import OURS, running
from tests.json_lines import documents
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
WORKERS, CLIENTS = 4, 16
WITHIN = timedelta(seconds=1)
PATH, BODY = "/v1/models/m:predict", {"instances": [[1, 2]]}


def keys_command(path: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "gateway", "keys", *arguments, "--file", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


class RunningGateway:
    """``python -m gateway`` in ``folder``, with all its files there."""

    def __init__(self, folder: Path, stack: ExitStack, **settings: str) -> None:
        self.keys, self.log, port = folder / "keys.jsonl", folder / "gateway.log", free_port()
        self.address = f"http://127.0.0.1:{port}"
        environment = {
            "GATEWAY_PORT": str(port),
            "GATEWAY_WORKERS": str(WORKERS),
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{stack.enter_context(serving(FakeServing()))}",
            "GATEWAY_KEYS_FILE": str(self.keys),
        }
        self.process = stack.enter_context(running(OURS, port, environment | settings, self.log))

    def post(self, text: str, path: str = PATH, body: object = BODY, **headers: str) -> requests.Response:
        """The answer to a request on a connection of its own."""
        given = {"Authorization": f"Bearer {text}", "Connection": "close"} | headers
        return requests.post(self.address + path, json=body, headers=given, timeout=30)

    def workers(self) -> set[int]:
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def events(self, name: str = "request") -> list[dict]:
        return [event for event in documents(self.log) if event["event"] == name]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_key_that_is_disabled_under_load_opens_no_worker_after_a_second(tmp_path, stack):
    path = tmp_path / "keys.jsonl"
    text, other = keys_command(path, "new", "mobile"), keys_command(path, "new", "other")
    gateway = RunningGateway(tmp_path, stack)
    is_ended, statuses = threading.Event(), set()

    def load() -> None:
        while not is_ended.is_set():
            statuses.add(gateway.post(text).status_code)

    clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: len({event["pid"] for event in gateway.events() if event["status"] == 200}) == WORKERS)
        keys_command(path, "disable", "mobile")
        disabled = datetime.now(UTC)
        wait_for(lambda: len({event["pid"] for event in gateway.events() if event["status"] == 401}) == WORKERS)
        time.sleep(WITHIN.total_seconds())  # what is let in later is what the test is for
    finally:
        is_ended.set()
        for client in clients:
            client.join()
    assert statuses == {200, 401}
    assert gateway.post(text).status_code == 401
    assert gateway.post(other).status_code == 200
    for pid in {event["pid"] for event in gateway.events()}:
        events = [event for event in gateway.events() if event["pid"] == pid and event.get("key") != "other"]
        let_in = [event for event in events if event["status"] == 200]
        assert {event["key"] for event in let_in} == {"mobile"}
        assert datetime.fromisoformat(let_in[-1]["time"]) < disabled + WITHIN
        refused = events[events.index(let_in[-1]) + 1 :]
        assert refused
        assert {(event["status"], event["error"]) for event in refused} == {(401, "UNAUTHENTICATED")}


def test_keys_that_are_added_or_rotated_count_without_a_restart(tmp_path, stack):
    path = tmp_path / "keys.jsonl"
    gateway = RunningGateway(tmp_path, stack)
    text = keys_command(path, "new", "mobile", "--models", "m", "--limit", "1000/day")
    wait_for(lambda: [gateway.post(text).status_code for _ in range(8)] == [200] * 8, 5)
    rotated = keys_command(path, "rotate", "mobile", "--overlap", "0s")
    wait_for(lambda: [gateway.post(rotated).status_code for _ in range(8)] == [200] * 8, 5)
    wait_for(lambda: [gateway.post(text).status_code for _ in range(8)] == [401] * 8, 5)


def test_sighup_changes_nothing_and_a_broken_file_locks_nobody_out(tmp_path, stack):
    path = tmp_path / "keys.jsonl"
    text = keys_command(path, "new", "mobile")
    gateway = RunningGateway(tmp_path, stack)
    wait_for(lambda: len(gateway.events("keys.read")) == WORKERS)
    good, workers = path.read_bytes(), gateway.workers()
    path.write_bytes(good[:-9])
    for pid in (gateway.process.pid, *workers):
        os.kill(pid, signal.SIGHUP)
    wait_for(lambda: len(gateway.events("keys.unreadable")) == WORKERS)
    # Signals are handled in their order: when there is one more worker, SIGHUP has had its effect.
    gateway.process.send_signal(signal.SIGTTIN)
    wait_for(lambda: len(gateway.workers()) == WORKERS + 1)
    assert workers < gateway.workers()
    gateway.process.send_signal(signal.SIGTTOU)
    path.write_bytes(good)
    added = keys_command(path, "new", "added")
    wait_for(lambda: [gateway.post(added).status_code for _ in range(8)] == [200] * 8, 5)
    assert gateway.post(text).status_code == 200


@pytest.mark.parametrize("kind", ["broken", "writable", "a folder", "no folder", "a pipe"])
def test_the_start_stops_with_one_line_when_the_file_of_keys_cannot_be_trusted(tmp_path, kind):
    path = tmp_path / "keys.jsonl"
    write(path, make_key()[1])
    if kind == "broken":
        path.write_bytes(path.read_bytes()[:-9])
    elif kind == "writable":
        path.chmod(0o622)
    elif kind == "a pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    else:
        path = tmp_path if kind == "a folder" else path / "keys.jsonl"
    environment = {"GATEWAY_KEYS_FILE": str(path), "GATEWAY_PORT": str(free_port()), "GATEWAY_LOG_LEVEL": "WARNING"}
    done = subprocess.run([sys.executable, *OURS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"gateway: GATEWAY_KEYS_FILE: {path}: ")


def test_without_keys_the_log_says_so_once(tmp_path, stack):
    gateway = RunningGateway(tmp_path, stack, GATEWAY_KEYS_FILE="")
    assert requests.post(gateway.address + PATH, json=BODY, timeout=30).status_code == 200
    assert [event["setting"] for event in gateway.events("keys.off")] == ["GATEWAY_KEYS_FILE"]


@pytest.mark.parametrize(("limits", "times"), [("", 1), ("100/day", 0)])
def test_a_redis_that_no_limit_uses_is_told_once(tmp_path, stack, limits, times):
    settings = {"GATEWAY_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "GATEWAY_ADDRESS_LIMITS": limits}
    gateway = RunningGateway(tmp_path, stack, GATEWAY_KEYS_FILE="", **settings)
    assert requests.post(gateway.address + PATH, json=BODY, timeout=30).status_code == 200
    assert [event["setting"] for event in gateway.events("setting.unused")] == ["GATEWAY_REDIS_URL"] * times


def test_nothing_that_a_run_writes_holds_a_secret(tmp_path, stack):
    path = tmp_path / "keys.jsonl"
    good, other = keys_command(path, "new", "mobile", "--limit", "1000/day"), keys_command(path, "new", "other")
    off, unknown, answers = keys_command(path, "new", "off"), key_text.new().text, []
    keys_command(path, "disable", "off")
    with ExitStack() as running_time:
        log = f"sqlite:///{tmp_path / 'predictions.db'}"
        gateway = RunningGateway(
            tmp_path, running_time, GATEWAY_PREDICTION_LOG=log, GATEWAY_LOG_LEVEL="DEBUG", GATEWAY_CACHE="m:10:60s"
        )
        for text in (good, off, unknown, good[:-1], good + "x", f"{good},{other}"):
            cases = [
                gateway.post(text),
                gateway.post(text, **{"X-API-Key": other}),
                gateway.post(text, **{"X-Request-Id": text}),
                gateway.post("", **{"Authorization": f"Basic {text}"}),
                gateway.post("", f"{PATH}?key={text}"),
                requests.get(f"{gateway.address}/readyz?key={text}", headers={"X-Request-Id": text}, timeout=30),
                requests.request("BREW", f"{gateway.address}/{text}", headers={"X-API-Key": text}, timeout=30),
                *[
                    gateway.post(good, target, body, **{"X-Request-Id": f"id-{text}"})
                    for target, body in (
                        (f"/v1/models/{text}:predict", BODY),
                        (f"/predict/{text}", {"x": [1, 2]}),
                        (f"/v2/models/{text}/infer", {"inputs": []}),
                        (f"/{text}", {}),
                        (PATH, {"signature_name": text, **BODY}),
                        (PATH, {text: 1}),
                        ("/predict/m", {text: 1}),
                        ("/predict/m", {"x": text}),
                        ("/v1/feedback", {"request_id": text, "label": [text]}),
                        ("/v1/feedback", {text: 1}),
                    )
                ],
                requests.get(f"{gateway.address}/v1/models/{text}", headers={"X-API-Key": good}, timeout=30),
                requests.get(f"{gateway.address}/docs/models/{text}", headers={"X-API-Key": good}, timeout=30),
            ]
            answers += cases
        answers.append(requests.get(f"{gateway.address}/metrics", timeout=30))
    shown = [f"{answer.status_code} {answer.headers} {answer.text}" for answer in answers]
    files = {file: file.read_bytes().decode("latin-1") for file in sorted(tmp_path.iterdir())}
    assert {"keys.jsonl", "keys.jsonl.used", "gateway.log", "predictions.db"} <= {file.name for file in files}
    assert {answer.status_code for answer in answers} >= {200, 202, 400, 401, 404}
    assert 'gateway_key_requests_total{key="mobile",status="200"}' in shown[-1]
    assert good[4:12] in last_use.read(last_use.path_beside(path))
    assert re.search(r"sgk_\w{8}\.\.\.", files[gateway.log])
    assert re.search(r"sgk_\w{8}\.\.\.", files[tmp_path / "predictions.db"])
    for text in (good, other, off, unknown):
        parts = {text[start : start + 8] for start in range(13, 36)}
        for about, written in [*files.items(), *enumerate(shown)]:
            found = next((written.index(part) for part in parts if part in written), None)
            assert found is None, (about, written[found - 200 : found + 60])
