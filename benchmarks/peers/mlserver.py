"""MLServer: the Open Inference Protocol over FastAPI and uvicorn, with adaptive batching."""

import json
from pathlib import Path

import numpy as np

from benchmarks.contender import JSON, Call, Contender, Encoding, Floats
from benchmarks.peers import launch
from benchmarks.peers.instances import json_text
from benchmarks.programs.processes import free_port

REQUIREMENTS = launch.requirements("mlserver")
MODEL = "model"


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """MLServer always opens two more ports, for gRPC and for its metrics."""
    ports = map(str, (port, free_port(), free_port()))
    argv = launch.server("mlserver_server", MODEL, *ports)
    # Without models MLServer as a whole is ready: the model itself is asked for.
    ready_url = f"http://{launch.HOST}:{port}/v2/models/{MODEL}/ready"
    front = launch.program("mlserver", argv, ready_url, env_dir=env_dir, saved_model=saved_model)
    return Contender("mlserver", port, front, {JSON: Encoding(_ask, _read)})


def _ask(rows: Floats) -> Call:
    """The data flat, as MLServer's own codec writes it."""
    tensor = {"name": "input", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel()}
    return Call(f"/v2/models/{MODEL}/infer", json_text({"inputs": [tensor]}), {"Content-Type": "application/json"})


def _read(body: bytes) -> Floats:
    (output,) = json.loads(body)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])
