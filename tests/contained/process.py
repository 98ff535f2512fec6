"""``python -m deploy.container`` as a process: what an image of it runs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import requests

from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for

START_TIMEOUT_S = 60
_OF_PLATFORMS = ("GATEWAY_", "AIP_", "SAGEMAKER_", "AUTO_MODEL", "MODEL_NAME", "SERVING_PORT")


class Contained:
    """One container's process. All that it may write to is ``tmp``, and its output is in ``log``."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.tmp, self.log = folder / "tmp", folder / "log"
        self.tmp.mkdir(parents=True)
        self.port, self.serving_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OF_PLATFORMS)}
        own = {"GATEWAY_PORT": str(self.port), "SERVING_PORT": str(self.serving_port), "TMPDIR": str(self.tmp)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.container", *arguments],
                cwd=ROOT,
                env=inherited | own | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self, route: str = "/readyz") -> "Contained":
        wait_for(lambda: self.process.poll() is not None or self.status(route) == 200, START_TIMEOUT_S)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def status(self, route: str) -> int:
        try:
            return requests.get(self.address + route, timeout=10).status_code
        except requests.ConnectionError:
            return 0

    def child(self, module: str) -> int:
        """The process of this container that runs ``module``."""
        [pid] = [pid for pid in self._children() if f"-m\0{module}\0".encode() in _command_line(pid)]
        return pid

    def _children(self) -> list[int]:
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def curl(*arguments: str, document: object = None) -> tuple[int, str]:
    """The status and the body that curl gets."""
    data = () if document is None else ("--data-binary", json.dumps(document), "-H", "Content-Type: application/json")
    command = ["curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", *data, *arguments]
    body, _, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rpartition("\n")
    return int(status), body
