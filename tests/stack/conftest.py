"""The whole stack as real processes: exported models, model server, gateway."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.json_lines import documents
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ("half_plus_two", "dense", "digits", "basket")
START_TIMEOUT_S = 60
# What a gateway that serves well logs besides requests: it may have been started before its model server listens.
USUAL_EVENTS = {"keys.off", "backend.cannot_connect", "backend.connected", "backend.disconnected", "model.changed"}


def export(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "model_export", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


class Process:
    """One program of the stack, its output in a file."""

    def __init__(self, log: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(45)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


class Stack:
    """A model server and a gateway on free ports, serving ``models_dir``."""

    def __init__(self, folder: Path, models_dir: Path, names: tuple[str, ...], **settings: object) -> None:
        self.folder = folder
        self.models_dir = models_dir
        self.serving_port = free_port()
        self.gateway_port = free_port()
        self.address = f"http://127.0.0.1:{self.gateway_port}"
        self.settings = settings
        self.config = folder / "models.config"
        self.write_config(names)
        self.server: Process | None = None
        self.gateway: Process | None = None
        self.server_flags: list[str] = []
        self.gateway_environment: dict[str, str] = {}  # besides the settings

    def write_config(self, names: tuple[str, ...], policy: str = "") -> None:
        entries = "".join(
            f'config {{ name: "{name}" base_path: "{self.models_dir / name}" model_platform: "tensorflow" {policy} }}\n'
            for name in names
        )
        self.config.write_text(f"model_config_list {{\n{entries}}}\n")

    def start(self) -> "Stack":
        self.start_server()
        return self._start_gateway_and_wait()

    def start_before(self, other: "Stack") -> "Stack":
        """Start the gateway only: its model server is that of ``other``."""
        self.serving_port = other.serving_port
        return self._start_gateway_and_wait()

    def _start_gateway_and_wait(self) -> "Stack":
        self.start_gateway()
        wait_for(self.is_ready_or_dead, START_TIMEOUT_S)
        assert self.is_ready(), "".join(part.log.read_text() for part in self._parts())
        return self

    def is_ready_or_dead(self) -> bool:
        return self.is_ready() or any(part.process.poll() is not None for part in self._parts())

    def _parts(self) -> list[Process]:
        return [part for part in (self.gateway, self.server) if part is not None]

    def start_server(self) -> None:
        flags = [f"--port={self.serving_port}", f"--model_config_file={self.config}", "--model_config_file_poll_wait_seconds=1"]
        self.server = Process(self.folder / "server.log", ["model_server", *flags, *self.server_flags], {})

    def start_gateway(self) -> None:
        environment = {
            "GATEWAY_PORT": str(self.gateway_port),
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{self.serving_port}",
            "GATEWAY_MODEL_CONFIG_FILE": str(self.config),
            "GATEWAY_PREDICT_MODEL": "dense",
            "GATEWAY_WORKERS": "2",
        }
        environment |= {f"GATEWAY_{name.upper()}": str(value) for name, value in self.settings.items()}
        environment |= self.gateway_environment
        self.gateway = Process(self.folder / "gateway.log", ["gateway"], environment)

    def stop(self) -> None:
        for process in self._parts():
            process.stop()

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path: str, **kwargs) -> requests.Response:
        return requests.get(self.address + path, timeout=30, **kwargs)

    def post(self, path: str, document: object, **kwargs) -> requests.Response:
        body = document if isinstance(document, str | bytes) else json.dumps(document)
        return requests.post(self.address + path, data=body, timeout=30, **kwargs)

    def log_events(self) -> list[dict]:
        """The gateway's log; a line that is not JSON fails the test."""
        return documents(self.folder / "gateway.log")


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The example models, built once."""
    folder = tmp_path_factory.mktemp("exported")
    export("build", "--all", "--models-dir", str(folder))
    return folder


@pytest.fixture
def models_dir(exported, tmp_path) -> Path:
    """A copy of the example models for a test that changes them."""
    return shutil.copytree(exported, tmp_path / "models")


@pytest.fixture(scope="session")
def stack(exported, tmp_path_factory):
    """A running stack for tests that only ask."""
    running = Stack(tmp_path_factory.mktemp("stack"), exported, EXAMPLES)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def make_gateway(stack, tmp_path):
    """Makes running gateways of their own before the model server of all, for tests that disturb the gateway only."""
    made = []

    def make(names: tuple[str, ...] = ("half_plus_two",), **settings: object) -> Stack:
        running = Stack(tmp_path, stack.models_dir, names, **settings)
        made.append(running)
        return running.start_before(stack)

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def make_stack(tmp_path, models_dir):
    """Makes running stacks of their own for tests that disturb them."""
    made = []

    def make(names: tuple[str, ...] = ("half_plus_two",), **settings: object) -> Stack:
        running = Stack(tmp_path, models_dir, names, **settings)
        made.append(running)
        return running.start()

    yield make
    for running in made:
        running.stop()


@pytest.fixture(scope="session")
def rollout_versions(tmp_path_factory) -> Path:
    """The versions of a model that rollouts are tried with, each in a folder of its number."""
    folder = tmp_path_factory.mktemp("rollout_versions")
    subprocess.run(
        [sys.executable, "-m", "tests.stack.rollout_models", str(folder)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL
    )
    return folder
