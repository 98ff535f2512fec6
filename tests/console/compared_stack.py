"""A stack without keys that serves both versions of `compared_models`, with a log of whole tensors; and exports of that log."""

import os
import subprocess
import sys
from pathlib import Path

from tests.console.compared_versions import MODEL, OLD
from tests.stack.conftest import ROOT, Stack


class ComparedStack(Stack):
    """``log`` is the address of the prediction log."""

    def __init__(self, folder: Path) -> None:
        models_dir = folder / "models"
        command = [sys.executable, "-m", "tests.console.compared_models", str(models_dir / MODEL)]
        subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        self.log = f"sqlite:///{folder / 'log.db'}"
        settings = {"prediction_log": self.log, "prediction_log_values": "all", "catalog_poll_ms": 500}
        super().__init__(folder, models_dir, (MODEL,), **settings)

    def write_config(self, names: tuple[str, ...], policy: str = "model_version_policy { all {} }") -> None:
        super().write_config(names, policy)

    def predict(self, signature: str, **body: object) -> dict:
        """The answer of OLD, which is logged."""
        answer = self.post(f"/v1/models/{MODEL}/versions/{OLD}:predict", {"signature_name": signature, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def export(self, output: Path, *options: str) -> Path:
        """``output``, which ``python -m gateway log export`` has written."""
        command = [sys.executable, "-m", "gateway", "log", "export", "--output", str(output), *options]
        environment = os.environ | {"GATEWAY_PREDICTION_LOG": self.log}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return output
