"""A gateway before a model server that answers when a test lets it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

LONG_MS = 30_000


class Gateway:
    """The gateway's process; ``fake`` is the model server, ``statuses`` what ``predict`` got."""

    def __init__(self, log: Path, fake: FakeServing, serving_port: int, workers: int, **settings: object) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.fake = fake
        values = {
            "port": self.port,
            "serving_target": f"127.0.0.1:{serving_port}",
            "workers": workers,
            "predict_timeout_ms": LONG_MS,
            **settings,
        }
        self.process = Process(log, ["gateway"], {f"GATEWAY_{name.upper()}": str(value) for name, value in values.items()})
        self.statuses: list[int] = []

    @property
    def workers(self) -> list[int]:
        pid = self.process.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.address}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def predict(self) -> None:
        answer = requests.post(f"{self.address}/v1/models/m:predict", json={"instances": [[1, 2]]}, timeout=30)
        self.statuses.append(answer.status_code)

    def in_flight(self) -> float:
        text = requests.get(f"{self.address}/metrics", timeout=10).text
        [line] = [line for line in text.splitlines() if line.startswith("gateway_in_flight_requests ")]
        return float(line.split()[1])


@contextmanager
def held_gateway(folder: Path, workers: int, **settings: object) -> Iterator[Gateway]:
    fake = FakeServing()
    with serving(fake) as serving_port:
        running = Gateway(folder / "gateway.log", fake, serving_port, workers, **settings)
        try:
            wait_for(running.is_ready, 30)
            wait_for(lambda: len(running.workers) == workers)
            yield running
        finally:
            fake.release.set()
            fake.metadata_release.set()
            running.process.stop()
