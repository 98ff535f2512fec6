"""This project as a contender: the gateway as ``python -m gateway`` starts it, as shipped, before our model server.

It has the settings that say where things are, those of the group that measures it, and otherwise its defaults.
"""

import base64
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks import workload
from benchmarks.contender import B64, BINARY, JSON, NPY, Call, Contender, Encoding, Floats, Program
from benchmarks.programs.processes import free_port

REQUIREMENTS: tuple[str, ...] = ()
NAME = "gateway"
_NPY_TYPE = "application/x-npy"
_HEADER_LENGTH = "Inference-Header-Content-Length"


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """The gateway and a model server of its own, serving one model under the name of its folder."""
    model = saved_model.parent.name
    config = env_dir / f"{NAME}-{model}.config"
    write_config(config, {model: saved_model.parent})
    return stack(port, config, model)


def stack(port: int, config: Path, model: str, name: str = NAME, settings: Mapping[str, str] | None = None) -> Contender:
    """The gateway and a model server that serve the models of ``config``; the calls are for ``model``."""
    serving_port = free_port()
    server = model_server(config, serving_port, f"{name} model server")
    front = gateway(port, config, serving_port, name, settings or {})
    return Contender(name, port, front, encodings(model), (server,))


def front(port: int, config: Path, serving_port: int, model: str, name: str = NAME) -> Contender:
    """The gateway before a model server that runs; the calls are for ``model``."""
    return Contender(name, port, gateway(port, config, serving_port, name, {}), encodings(model))


def usual_workers() -> int:
    """How many workers the gateway starts by default: one for every two cores."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def gateway(port: int, config: Path, serving_port: int, name: str, settings: Mapping[str, str]) -> Program:
    """The gateway before a model server that runs."""
    environment = {
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "GATEWAY_SERVING_TARGET": f"127.0.0.1:{serving_port}",
        "GATEWAY_MODEL_CONFIG_FILE": str(config),
    }
    ready_url = f"http://127.0.0.1:{port}/readyz"
    return Program(name, (sys.executable, "-m", "gateway"), ready_url, environment | dict(settings))


def model_server(config: Path, port: int, name: str) -> Program:
    """Our stand-in for tensorflow/serving, which looks for new versions and new models every second."""
    flags = ("--host=127.0.0.1", f"--port={port}", f"--model_config_file={config}")
    argv = (sys.executable, "-m", "model_server", *flags, "--model_config_file_poll_wait_seconds=1")
    return Program(name, argv, f"tcp://127.0.0.1:{port}")


def write_config(config: Path, models: Mapping[str, Path], policy: str = "") -> None:
    """Write a models.config for these models: name -> the folder that holds the versions; ``policy`` is that of each."""
    entries = (
        f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {policy} }}\n'
        for name, path in models.items()
    )
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"model_config_list {{\n{''.join(entries)}}}\n", encoding="utf-8")


def encodings(model: str) -> dict[str, Encoding]:
    """Every way in which the gateway takes an array for this model."""
    return {
        JSON: Encoding(partial(_ask_json, model), read_json),
        B64: Encoding(partial(_ask_b64, model), read_json),
        NPY: Encoding(partial(_ask_npy, model), _read_npy),
        BINARY: Encoding(partial(_ask_binary, model), _read_binary),
    }


def json_text(document: Any) -> bytes:
    """JSON in which a float32 has as many digits as it needs, which is what a client would send."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def read_json(body: bytes) -> Floats:
    """The predictions of a row-wise answer."""
    return np.asarray(json.loads(body)["predictions"], np.float32)


def _ask_json(model: str, rows: Floats) -> Call:
    return Call(f"/v1/models/{model}:predict", json_text({"instances": rows}), {"Content-Type": "application/json"})


def _ask_b64(model: str, rows: Floats) -> Call:
    instances: Sequence[Mapping[str, str]] = [{"b64": base64.b64encode(row.tobytes()).decode()} for row in rows]
    body = json_text({"signature_name": "bytes", "instances": instances})
    return Call(f"/v1/models/{model}:predict", body, {"Content-Type": "application/json"})


def _ask_npy(model: str, rows: Floats) -> Call:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return Call(f"/v1/models/{model}:predict", buffer.getvalue(), {"Content-Type": _NPY_TYPE, "Accept": _NPY_TYPE})


def _read_npy(body: bytes) -> Floats:
    return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), np.float32)


def _ask_binary(model: str, rows: Floats) -> Call:
    """The Open Inference Protocol as tritonclient sends it: a JSON part, whose length a header tells, and the bytes."""
    sizes = {"shape": rows.shape, "datatype": "FP32", "parameters": {"binary_data_size": rows.nbytes}}
    told = {"inputs": [{"name": workload.TENSORS[model].input, **sizes}], "parameters": {"binary_data_output": True}}
    head = json_text(told)
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return Call(f"/v2/models/{model}/infer", head + rows.tobytes(), headers)


def _read_binary(body: bytes) -> Floats:
    """The outputs' data lie behind a JSON part that tells their shapes; its length stands in a header of the answer."""
    end = body.index(b"}]}") + 3
    described = json.loads(body[:end])["outputs"][0]
    return np.frombuffer(body[end:], "<f4").reshape(described["shape"])
