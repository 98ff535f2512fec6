"""A gateway before a model server of the tests' own making, for models that no real one would load: names like markup, many."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from gateway.backend.stubs import ModelServerConfig
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.conftest import ROOT, Process
from tests.waiting import free_port, wait_for


class FakedStack:
    """``python -m gateway`` with keys, a log and rollouts; ``fake`` is the model server, whose models the config file names."""

    def __init__(self, folder: Path, fake: FakeServing, serving_port: int, **settings: object) -> None:
        self.folder = folder
        self.gateway_port = free_port()
        self.address = f"http://127.0.0.1:{self.gateway_port}"
        self.key, kept = make_key("admin", scopes=("predict", "metadata", "admin"))
        write(folder / "keys.jsonl", kept)
        config = ModelServerConfig()
        for name in fake.models:
            config.model_config_list.config.add(name=name, base_path="/models/m", model_platform="tensorflow")
        (folder / "models.config").write_text(str(config))
        (folder / "state").mkdir()
        values = {
            "port": self.gateway_port,
            "serving_target": f"127.0.0.1:{serving_port}",
            "workers": 2,
            "model_config_file": folder / "models.config",
            "keys_file": folder / "keys.jsonl",
            "prediction_log": f"sqlite:///{folder / 'predictions.db'}",
            "state_dir": folder / "state",
            "catalog_poll_ms": 500,
        }
        self.environment = {f"GATEWAY_{name.upper()}": str(value) for name, value in (values | settings).items()}
        self.gateway = Process(folder / "gateway.log", ["gateway"], self.environment)

    def is_ready(self) -> bool:
        assert self.gateway.process.poll() is None, (self.folder / "gateway.log").read_text()
        try:
            return requests.get(f"{self.address}/readyz", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def rollout(self, *arguments: str) -> str:
        """Run `python -m gateway rollout` with ``arguments``; what it prints. It must succeed."""
        environment = {"GATEWAY_STATE_DIR": str(self.folder / "state"), "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-m", "gateway", "rollout", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def faked_stack(folder: Path, fake: FakeServing, **settings: object) -> Iterator[FakedStack]:
    """The gateway, once it is ready."""
    with serving(fake) as port:
        running = FakedStack(folder, fake, port, **settings)
        try:
            wait_for(running.is_ready, 400)
            yield running
        finally:
            running.gateway.stop()
