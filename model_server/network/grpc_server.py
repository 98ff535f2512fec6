"""The gRPC listener: ports, credentials, limits, health, and a drain that bounds how long running requests get."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from model_server.network.health import Health
from model_server.network.listening import ListenSettings
from model_server.network.services import ModelService, PredictionService
from model_server.status import ServingError

# Unlimited messages, and a port that two servers cannot share without noticing.
_OPTIONS: dict[str, int | str] = {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.so_reuseport": 0,
}


class GrpcServer:
    """Listens from ``start`` to ``drain``."""

    def __init__(self, settings: ListenSettings, prediction: PredictionService, model: ModelService) -> None:
        self._settings = settings
        options = _OPTIONS | dict(settings.channel_arguments)
        self._server = grpc.server(ThreadPoolExecutor(settings.max_threads, "grpc"), options=list(options.items()))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, self._server)
        self._health = Health() if settings.health else None
        if self._health:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def start(self) -> None:
        """Open the ports; raises ServingError naming the flag if one cannot be bound."""
        if self._settings.port:
            self._bind(f"{self._settings.host}:{self._settings.port}", "port")
        if self._settings.socket_path:
            _remove_stale_socket(Path(self._settings.socket_path))
            self._bind(f"unix:{self._settings.socket_path}", "grpc_socket_path")
        self._server.start()
        if self._health:
            self._health.serve()

    def drain(self, grace_s: float) -> None:
        """Report NOT_SERVING, refuse new requests, and wait for running ones, at most ``grace_s`` seconds."""
        if self._health:
            self._health.drain()
        self._server.stop(grace_s).wait()

    def _bind(self, address: str, flag: str) -> None:
        try:
            if self._settings.credentials:
                self._server.add_secure_port(address, self._settings.credentials)
            else:
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServingError(grpc.StatusCode.UNAVAILABLE, f"--{flag}: cannot listen on {address}") from error


def _remove_stale_socket(path: Path) -> None:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
