"""One model server for all faults, a scene for those that follow each other in the same one, and the table of what came."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults import table
from tests.faults.fault import Fault
from tests.faults.scene import MODEL, ModelServer, Scene
from tests.faults.trial import Row
from tests.stack.conftest import ROOT, Stack, export


@pytest.fixture(scope="session")
def model_server(tmp_path_factory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("faults")
    other = folder / "other"
    making = subprocess.Popen([sys.executable, "-m", "tests.faults.half_plus_three", str(other)], cwd=ROOT)
    export("build", MODEL, "--models-dir", str(folder / "models"))
    assert making.wait() == 0
    server = ModelServer(Stack(folder, folder / "models", (MODEL,)), other)
    server.stack.server_flags = ["--load_retry_interval_micros=100000"]
    try:
        server.start()
        yield server
    finally:
        server.stack.stop()


class Scenes:
    """Keeps the last scene, because a gateway that survived one fault must survive the next."""

    def __init__(self, server: ModelServer, make_folder: Callable[[], object]) -> None:
        self._server = server
        self._make_folder = make_folder
        self._kind: object = None
        self._scene: Scene | None = None
        self._stack = ExitStack()

    def of(self, fault: Fault) -> Scene:
        if self._kind is not fault.scene or self._scene is None:
            self.close()
            self._scene = self._stack.enter_context(fault.scene(self._server, self._make_folder()))
            self._kind = fault.scene
        return self._scene

    def close(self) -> None:
        self._scene = None
        self._stack.close()


@pytest.fixture(scope="session")
def scenes(model_server, tmp_path_factory) -> Iterator[Scenes]:
    kept = Scenes(model_server, lambda: tmp_path_factory.mktemp("scene"))
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """The rows of this run. FAULT_TABLE=1 writes them into the documentation."""
    found: list[Row] = []
    yield found
    print(f"\n{table.table(found)}")
    if os.environ.get("FAULT_TABLE") == "1":
        table.write(found)
