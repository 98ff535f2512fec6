"""``create_app()`` under other servers of WSGI: it reads the environment, and its event loop starts after any fork."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.fake_serving import serving
from tests.gateway.two_ways import models
from tests.gateway.two_ways.requests import SIMPLE, V1, V2, V2_GOOD, Sent
from tests.gateway.two_ways.servers import APPLICATION, GUNICORN, over_the_wire, running
from tests.waiting import free_port, wait_for

DIALECTS = (V1, SIMPLE, V2)
FLASK = ["-m", "flask", "--app", "gateway.app", "run", "--port"]
PRELOADED = [*GUNICORN, "-w", "2", "--preload", APPLICATION, "-b"]


@pytest.fixture
def environment(tmp_path) -> Iterator[dict[str, str]]:
    config_file = tmp_path / "models.config"
    config_file.write_text(models.config())
    with serving(models.fake()) as port:
        yield {
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{port}",
            "GATEWAY_MODEL_CONFIG_FILE": str(config_file),
            "GATEWAY_MAX_BODY_BYTES": "1000",
        }


def check(port: int) -> None:
    """All three dialects predict, and the settings of the environment hold."""
    answers = {
        V1: (b'{"instances": [[1, 2]]}', {"predictions": [[2.0, 4.0]]}),
        SIMPLE: (
            b'{"x": [1, 2]}',
            {"ok": True, "status": "success", "prediction": [2.0, 4.0], "model": "m", "model_version": "1"},
        ),
    }
    for path, (body, expected) in answers.items():
        answer = over_the_wire(port, Sent(path, "POST", path, (), body))
        assert (answer.status, json.loads(answer.body)) == (200, expected)
        assert over_the_wire(port, Sent(path, "POST", path, (), b" " * 1001)).status == 413
    assert json.loads(over_the_wire(port, Sent(V2, "POST", V2, (), V2_GOOD)).body)["outputs"][0]["data"] == [2, 4, 6, 8]


def test_flask_run_serves_every_route(environment, tmp_path):
    port = free_port()
    with running([*FLASK, str(port)], port, environment, tmp_path / "flask.log", stop=signal.SIGINT):
        check(port)
        assert over_the_wire(port, Sent("page", "GET", "/", (("Accept", "text/html"),))).body.startswith(b"<!doctype html>")


def test_the_log_is_that_of_the_gateway_and_has_its_level(environment, tmp_path):
    port, log = free_port(), tmp_path / "flask.log"
    with running([*FLASK, str(port)], port, environment | {"GATEWAY_LOG_LEVEL": "INFO"}, log, stop=signal.SIGINT):
        check(port)
        wait_for(lambda: events(log).count("request") >= len(DIALECTS) + 2)  # two were too large
    paths = {
        line["path"] for line in map(json.loads, lines_of_json(log)) if line["event"] == "request" and line["status"] == 200
    }
    assert paths == set(DIALECTS)  # and not the probes, which are told from DEBUG up


def lines_of_json(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("{")]


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in lines_of_json(log)]


def test_flask_run_says_which_setting_is_wrong(environment, tmp_path):
    wrong = environment | {"GATEWAY_PREDICT_TIMEOUT_MS": "soon"}
    log = tmp_path / "flask.log"
    with pytest.raises(AssertionError, match="GATEWAY_PREDICT_TIMEOUT_MS='soon'"), running([*FLASK, "0"], 1, wrong, log):
        pass


def test_every_worker_that_gunicorn_forks_from_a_loaded_application_answers(environment, tmp_path):
    port = free_port()
    with running([*PRELOADED, f"127.0.0.1:{port}"], port, environment, tmp_path / "gunicorn.log") as process:
        wait_for(lambda: len(children(process.pid)) == 2)
        workers = children(process.pid)
        for asleep in workers:
            # The other one has to answer.
            os.kill(asleep, signal.SIGSTOP)
            try:
                check(port)
            finally:
                os.kill(asleep, signal.SIGCONT)
        assert children(process.pid) == workers


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
