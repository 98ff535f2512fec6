"""BentoML: a service class over starlette, pydantic and uvicorn, with adaptive batching."""

import json
from pathlib import Path

import numpy as np

from benchmarks.contender import JSON, Call, Contender, Encoding, Floats
from benchmarks.peers import launch
from benchmarks.peers.instances import json_text

REQUIREMENTS = launch.requirements("bentoml")


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """BentoML's command line starts the service; what it keeps goes into the environment's folder."""
    settings = {"BENTOML_HOME": str(env_dir.absolute() / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    service = "benchmarks.peers.servers.bentoml_server:Predictor"
    argv = ("bentoml", "serve", service, "--host", launch.HOST, "--port", str(port))
    front = launch.program(
        "bentoml", argv, f"http://{launch.HOST}:{port}/readyz", env_dir=env_dir, saved_model=saved_model, environment=settings
    )
    return Contender("bentoml", port, front, {JSON: Encoding(_ask, _read)})


def _ask(rows: Floats) -> Call:
    """An object of the method's arguments."""
    return Call("/predict", json_text({"rows": rows}), {"Content-Type": "application/json"})


def _read(body: bytes) -> Floats:
    """The method's result, bare."""
    return np.array(json.loads(body), np.float32)
