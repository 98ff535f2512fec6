"""The processes in which a fault happens: a gateway of its own, before the model server that all scenes share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.checking_client import CheckingClient
from tests.stack.conftest import START_TIMEOUT_S, Stack
from tests.waiting import wait_for

IS_LONG = os.environ.get("LONG_TESTS") == "1"
TIMES = 10 if IS_LONG else 2  # of what is done again and again
PREDICT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
MODEL = "half_plus_two"


class ModelServer:
    """The model server, which one fault after the other disturbs."""

    def __init__(self, stack: Stack, other: Path) -> None:
        self.stack = stack
        self.other = other  # a SavedModel that adds 3 instead of 2

    @property
    def port(self) -> int:
        return self.stack.serving_port

    @property
    def base(self) -> Path:
        """The folder of the model's versions."""
        return self.stack.models_dir / MODEL

    def signal(self, number: int) -> None:
        self.stack.server.process.send_signal(number)

    def stop(self, number: int) -> None:
        self.stack.server.stop(number)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        count = self.log().count("server.ready")
        self.stack.start_server()
        wait_for(lambda: self.log().count("server.ready") > count or self._is_dead(), START_TIMEOUT_S)
        assert not self._is_dead(), self.log()

    def _is_dead(self) -> bool:
        return self.stack.server.process.poll() is not None

    def log(self) -> str:
        log = self.stack.folder / "server.log"
        return log.read_text() if log.exists() else ""


class Scene:
    """A gateway that listens on ``stack.gateway_port``. ``client`` asks it during a trial."""

    client: CheckingClient

    def __init__(self, server: ModelServer, folder: Path, **settings: object) -> None:
        self.server = server
        self.folder = folder
        values = {
            "predict_timeout_ms": int(PREDICT_TIMEOUT_S * 1000),
            "read_timeout_ms": int(READ_TIMEOUT_S * 1000),
            "serving_target": f"127.0.0.1:{server.port}",
            "log_level": "WARNING",
        }
        self.stack = Stack(folder, server.stack.models_dir, (MODEL,), **(values | settings))

    @property
    def port(self) -> int:
        return self.stack.gateway_port

    @property
    def arbiter(self) -> int:
        """The process that starts the workers."""
        return self.stack.gateway.process.pid

    @property
    def workers(self) -> list[int]:
        return children(self.arbiter)

    def start(self) -> None:
        """Start the gateway, and wait until each of its workers is ready."""
        self.stack.start_gateway()
        wait_for(lambda: self.stack.is_ready() or self._is_dead(), START_TIMEOUT_S)
        assert not self._is_dead(), self.log()

    def log(self) -> str:
        return self.stack.gateway.log.read_text()

    def _is_dead(self) -> bool:
        return self.stack.gateway.process.poll() is not None


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def started(scene: Scene) -> Iterator[None]:
    """Its gateway runs inside."""
    try:
        scene.start()
        yield
    finally:
        if scene.stack.gateway is not None:
            scene.stack.gateway.stop()


@contextmanager
def plain(server: ModelServer, folder: Path) -> Iterator[Scene]:
    """Two workers that speak with the model server directly."""
    scene = Scene(server, folder)
    with started(scene):
        yield scene
