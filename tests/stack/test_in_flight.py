"""``gateway_in_flight_requests``: how many requests are being handled, over all workers."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.gateway.fake_serving import FakeServing, serving
from tests.gateway.server.http_cases_connection import post
from tests.gateway.server.http_wire import Wire
from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

LONG_MS = 30_000


class Gateway:
    """A gateway with two workers before a model server that does not answer until it is told to."""

    def __init__(self, log: Path, fake: FakeServing, serving_port: int) -> None:
        self.port = free_port()
        self.fake = fake
        values = {"port": self.port, "serving_target": f"127.0.0.1:{serving_port}", "workers": 2, "predict_timeout_ms": LONG_MS}
        self.process = Process(log, ["gateway"], {f"GATEWAY_{name.upper()}": str(value) for name, value in values.items()})
        self.statuses: list[int] = []

    @property
    def workers(self) -> list[int]:
        pid = self.process.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def predict(self) -> None:
        answer = requests.post(f"http://127.0.0.1:{self.port}/v1/models/m:predict", json={"instances": [[1, 2]]}, timeout=30)
        self.statuses.append(answer.status_code)

    def in_flight(self) -> float:
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        [line] = [line for line in text.splitlines() if line.startswith("gateway_in_flight_requests ")]
        return float(line.split()[1])


@pytest.fixture
def gateway(tmp_path) -> Iterator[Gateway]:
    fake = FakeServing()
    with serving(fake) as serving_port:
        running = Gateway(tmp_path / "gateway.log", fake, serving_port)
        try:
            wait_for(running.is_ready, 30)
            wait_for(lambda: len(running.workers) == 2)
            yield running
        finally:
            fake.release.set()
            running.process.stop()


def test_the_requests_in_flight_are_those_of_both_workers(gateway):
    gateway.fake.release.clear()
    clients = []
    for asleep in gateway.workers:
        # The other one takes the next requests.
        os.kill(asleep, signal.SIGSTOP)
        try:
            before = gateway.in_flight()
            for count in (1, 2):
                clients.append(threading.Thread(target=gateway.predict))
                clients[-1].start()
                wait_for(lambda count=count, before=before: gateway.in_flight() == before + count)
        finally:
            os.kill(asleep, signal.SIGCONT)
    wait_for(lambda: gateway.in_flight() == 4 + ITSELF)
    gateway.fake.release.set()
    for client in clients:
        client.join()
    assert gateway.statuses == [200] * 4
    wait_for(lambda: gateway.in_flight() == ITSELF)


def test_a_client_that_goes_away_is_in_flight_no_longer(gateway):
    gateway.fake.release.clear()
    with Wire(gateway.port) as wire:
        wire.play((post(),))
        wait_for(lambda: gateway.in_flight() == 1 + ITSELF)
    wait_for(lambda: gateway.in_flight() == ITSELF)
    # Its call of the model server was taken back too.
    wait_for(lambda: gateway.fake.ended.count("Predict") == 1)
    gateway.fake.release.set()
    gateway.predict()
    assert gateway.statuses == [200]


ITSELF = 1
"""The request for the metrics is one too."""
