"""The baselines as contenders: how each is started, asked and read."""

import os
import sys
from functools import partial
from pathlib import Path

from benchmarks import ours, workload
from benchmarks.contender import JSON, Call, Contender, Encoding, Floats, Program
from benchmarks.programs.processes import free_port
from gateway.server import usual_workers

EMPTY = "empty Flask route, gevent"
IN_PROCESS = "Flask + Keras in process, thread batcher"
PLAIN_IMAGE = "plain Flask, json + np.array"

_APPS = "benchmarks.baselines"


def empty(port: int, workers: int = 0) -> Contender:
    """An empty Flask route on gunicorn's own gevent worker; as many workers as the gateway has when no number is given."""
    name = f"{EMPTY}, {workers} worker{'s' * (workers > 1)}" if workers else EMPTY
    many = workers or usual_workers(os.cpu_count() or 1)
    front = _gunicorn(name, port, "/empty", f"{_APPS}.empty:app", "--worker-class=gevent", f"--workers={many}")
    return Contender(name, port, front, {JSON: Encoding(_ask_empty, None)})


def in_process(port: int, models_dir: Path) -> Contender:
    """One process: its batcher and its model are in it, and another process would have others."""
    app = f"{_APPS}.in_process:create_app({str(workload.weights_file(models_dir, workload.DENSE))!r})"
    front = _gunicorn(IN_PROCESS, port, "/health", app, "--worker-class=gthread", "--threads=64")
    return Contender(IN_PROCESS, port, front, {JSON: Encoding(partial(_ask, "/predict"), ours.read_json)})


def plain_image(port: int, models_dir: Path, scratch: Path) -> Contender:
    """The same model server as the gateway's behind it."""
    serving_port = free_port()
    config = scratch / "plain-image.config"
    ours.write_config(config, {workload.IMAGE: models_dir / workload.IMAGE})
    app = f"{_APPS}.plain_image:create_app('127.0.0.1:{serving_port}', {workload.IMAGE!r})"
    front = _gunicorn(PLAIN_IMAGE, port, "/health", app, "--worker-class=gthread", "--workers=2", "--threads=32")
    server = ours.model_server(config, serving_port, f"{PLAIN_IMAGE} model server")
    return Contender(PLAIN_IMAGE, port, front, {JSON: Encoding(partial(_ask, "/predict"), ours.read_json)}, (server,))


def _gunicorn(name: str, port: int, ready_path: str, app: str, *flags: str) -> Program:
    argv = (sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", *flags, "--timeout=120", app)
    return Program(name, argv, f"http://127.0.0.1:{port}{ready_path}", {"TF_CPP_MIN_LOG_LEVEL": "2"})


def _ask_empty(rows: Floats) -> Call:
    return Call("/empty", method="GET")


def _ask(path: str, rows: Floats) -> Call:
    return Call(path, ours.json_text({"instances": rows}), {"Content-Type": "application/json"})
