"""The baselines as contenders: how each is started, asked and read."""

import sys
from functools import partial
from pathlib import Path

from benchmarks import ours, workload
from benchmarks.contender import JSON, Call, Contender, Encoding, Floats, Program

EMPTY = "empty Flask route, gevent"
IN_PROCESS = "Flask + Keras in process, thread batcher"
FASTAPI = "FastAPI + grpc.aio, no batching"
PLAIN_FLASK = "plain Flask + gRPC, gthread"
PLAIN_IMAGE = "plain Flask, json + np.array"

_APPS = "benchmarks.baselines"
_GTHREAD = ("--worker-class=gthread", "--threads=32")


def empty(port: int, workers: int = 0) -> Contender:
    """An empty Flask route on gunicorn's own gevent worker; as many workers as the gateway has when no number is given."""
    name = f"{EMPTY}, {workers} worker{'s' * (workers > 1)}" if workers else EMPTY
    flags = ("--worker-class=gevent", f"--workers={workers or ours.usual_workers()}")
    front = _gunicorn(name, port, "/empty", f"{_APPS}.empty:app", *flags)
    return Contender(name, port, front, {JSON: Encoding(_ask_empty, None)})


def in_process(port: int, models_dir: Path) -> Contender:
    """Flask + Keras in one process, which holds the batcher and the model; another process would have its own."""
    app = f"{_APPS}.in_process:create_app({str(workload.weights_file(models_dir, workload.DENSE))!r})"
    front = _gunicorn(IN_PROCESS, port, "/health", app, "--worker-class=gthread", "--threads=64")
    return Contender(IN_PROCESS, port, front, _ENCODINGS)


def fastapi(port: int, target: str, model: str) -> Contender:
    """FastAPI in one process, before the model server at ``target``."""
    argv = (sys.executable, "-m", f"{_APPS}.fastapi_grpc", str(port), target, model)
    front = Program(FASTAPI, argv, f"http://127.0.0.1:{port}/health", {"TF_CPP_MIN_LOG_LEVEL": "2"})
    return Contender(FASTAPI, port, front, _ENCODINGS)


def plain_flask(port: int, target: str, model: str) -> Contender:
    """Plain Flask with as many workers as the gateway, before the model server at ``target``."""
    return _plain(PLAIN_FLASK, port, target, model, workers=ours.usual_workers())


def plain_image(port: int, target: str) -> Contender:
    """Plain Flask for pictures, with the two workers that serve it best on two cores."""
    return _plain(PLAIN_IMAGE, port, target, workload.IMAGE, workers=2)


def _plain(name: str, port: int, target: str, model: str, *, workers: int) -> Contender:
    names = workload.TENSORS[model]
    app = f"{_APPS}.plain_flask:create_app({target!r}, {model!r}, {names.input!r}, {names.output!r})"
    front = _gunicorn(name, port, "/health", app, *_GTHREAD, f"--workers={workers}")
    return Contender(name, port, front, _ENCODINGS)


def _gunicorn(name: str, port: int, ready_path: str, app: str, *flags: str) -> Program:
    argv = (sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", *flags, "--timeout=120", app)
    return Program(name, argv, f"http://127.0.0.1:{port}{ready_path}", {"TF_CPP_MIN_LOG_LEVEL": "2"})


def _ask_empty(rows: Floats) -> Call:
    return Call("/empty", method="GET")


def _ask(path: str, rows: Floats) -> Call:
    return Call(path, ours.json_text({"instances": rows}), {"Content-Type": "application/json"})


_ENCODINGS = {JSON: Encoding(partial(_ask, "/predict"), ours.read_json)}
