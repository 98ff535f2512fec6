"""Prometheus and promtool of Debian's package."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.observability import prometheus_api
from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for

FOLDER = ROOT / "deploy" / "observability" / "prometheus"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed, and these tests need it: apt-get install prometheus")
    return found


def promtool(*arguments: str, cwd: Path = FOLDER, stdin: str | None = None) -> tuple[int, str]:
    """The exit code of promtool, and all that it printed."""
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """A Prometheus that ``start.sh`` has started with the files of ``deploy/``, scraping ``targets`` each second."""

    def __init__(self, folder: Path, targets: dict[str, str], environment: dict[str, str]) -> None:
        program("prometheus")
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "prometheus.log"
        files, config = folder / "files", folder / "config"
        shutil.copytree(FOLDER, files)
        config.mkdir()
        text = (files / "prometheus.yml").read_text().replace("_interval: 15s", "_interval: 1s")
        for name, address in targets.items():
            assert text.count(f'"{name}"') == 1
            text = text.replace(f'"{name}"', f'"{address}"')
        (files / "prometheus.yml").write_text(text)
        environment = (
            os.environ | environment | {"PROMETHEUS_CONFIG_DIR": str(config), "PROMETHEUS_DATA_DIR": str(folder / "data")}
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["sh", str(files / "start.sh"), f"--web.listen-address=127.0.0.1:{self.port}"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(prometheus_api.ask(self.address, "status/buildinfo"))
        except prometheus_api.PrometheusError:
            return False

    def query(self, expr: str) -> list[prometheus_api.Series]:
        return prometheus_api.query(self.address, expr)

    def rules(self) -> list[dict]:
        groups = prometheus_api.ask(self.address, "rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
