"""Model servers for tests, in this process or in one of their own, and a client of the real generated stubs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from model_server.flags import Flags
from model_server.plan import make_plan
from model_server.server import Server
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).parents[2]
START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


class Client:
    """Talks to one server."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None, name: str = "") -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if name:
            options.append(("grpc.ssl_target_name_override", name))
        self.channel = (
            grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model: str, inputs: Mapping[str, Any], timeout: float | None = 30, **spec: Any) -> Any:
        return self.prediction.Predict(predict_request(model, inputs, **spec), timeout=timeout)

    def y(self, model: str, x: Any = (2.0,), **spec: Any) -> list[float]:
        return list(self.predict(model, {"x": np.array(x, np.float32)}, **spec).outputs["y"].float_val)

    def served_version(self, model: str) -> int:
        return int(self.predict(model, {"x": np.float32([1])}).model_spec.version.value)

    def status(self, model: str, version: int | None = None) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest()
        fill_spec(request.model_spec, model, version=version)
        return self.model.GetModelStatus(request, timeout=30)

    def states(self, model: str) -> dict[int, int]:
        """Version -> state; empty for a model without versions."""
        try:
            return {entry.version: entry.state for entry in self.status(model).model_version_status}
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return {}
            raise

    def metadata(self, model: str, fields: tuple[str, ...] = ("signature_def",), **spec: Any) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        fill_spec(request.model_spec, model, **spec)
        return self.prediction.GetModelMetadata(request, timeout=30)

    def reload(self, config: Any, metric_names: tuple[str, ...] = (), timeout_s: float = 60) -> Any:
        request = model_management_pb2.ReloadConfigRequest(config=config, metric_names=metric_names)
        return self.model.HandleReloadConfigRequest(request, timeout=timeout_s)

    def wait_for_states(self, model: str, expected: Mapping[int, int]) -> None:
        wait_for(lambda: self.states(model) == expected)


def fill_spec(spec: Any, model: str, version: int | None = None, label: str = "", signature: str = "") -> None:
    spec.name = model
    spec.signature_name = signature
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label


def predict_request(model: str, inputs: Mapping[str, Any], output_filter: tuple[str, ...] = (), **spec: Any) -> Any:
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    fill_spec(request.model_spec, model, **spec)
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value))
    return request


def config_of(*models: Mapping[str, Any]) -> Any:
    """A ModelServerConfig; each model is the fields of its ModelConfig."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        config.model_config_list.config.add(**{"model_platform": "tensorflow", **model})
    return config


@contextmanager
def serving(**flags: Any) -> Iterator[Client]:
    """A server in this process that looks for versions every 50 ms and retries loads at once."""
    quick = {"file_system_poll_wait_seconds": 0.05, "load_retry_interval_micros": 1000, "max_num_load_retries": 1}
    server = Server(make_plan(Flags(**{"port": free_port(), **quick, **flags})))  # type: ignore[arg-type]
    server.start()
    client = Client(f"127.0.0.1:{server.port}")
    try:
        yield client
    finally:
        client.channel.close()
        server.stop(grace_s=0)
        server.close()


@contextmanager
def refused(code: grpc.StatusCode, text: str, *, exact: bool = True) -> Iterator[None]:
    """The RPC inside fails with this code and text."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    error: Any = caught.value
    assert (error.code(), error.details()) == (code, text) if exact else error.code() is code
    assert text in error.details()


class Process:
    """``python -m model_server`` with these arguments."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "model_server", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            )

    def wait_until_logged(self, text: str) -> None:
        def logged() -> bool:
            assert self.popen.poll() is None or text in self.output(), self.output()
            return text in self.output()

        wait_for(logged, timeout_s=60)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    def exit_status(self, timeout_s: float = 60) -> int:
        return self.popen.wait(timeout_s)

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
