"""The figures of a gateway with several workers: one ring for all, in which nothing is missing when a worker is killed."""

import os
import signal
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from gateway.api.console.recent.counts import REQUESTS
from gateway.api.console.recent.ring import Ring
from gateway.api.console.recent.shared_place import SharedPlace
from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.held_gateway import Gateway
from tests.waiting import wait_for

WORKERS = 3


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """A gateway whose workers share a folder in ``tmp_path``. It records: what came before its first tick is in no tick."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fake = FakeServing()
    with serving(fake) as port:
        running = Gateway(tmp_path / "gateway.log", fake, port, WORKERS)
        wait_for(running.is_ready)
        wait_for(lambda: Seen(tmp_path).times())
        yield running
        running.process.stop()


class Seen:
    """What a process that reads the folder of the workers sees."""

    def __init__(self, folder: Path) -> None:
        [metrics] = folder.glob("gateway-metrics-*")
        self.ring = Ring(SharedPlace(metrics))

    def times(self) -> list[float]:
        self.ring.read()
        return [tick.at_s for tick in self.ring.ticks]

    def requests(self) -> int:
        self.ring.read()
        return sum(tick.total[REQUESTS] for tick in self.ring.ticks)


def is_counted(gateway: Gateway, sent: int) -> bool:
    """Whether /metrics has all that was sent, which a worker writes a moment after its answer."""
    lines = requests.get(f"{gateway.address}/metrics", timeout=10).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('gateway_requests_total{model="m"')) == sent


def kill(gateway: Gateway, worker: int) -> None:
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker not in gateway.workers and len(gateway.workers) == WORKERS)


def has_gone_on(seen: Seen, before: list[float]) -> bool:
    return len(seen.times()) >= len(before) + 3


def asked(gateway: Gateway) -> dict:
    return requests.get(f"{gateway.address}/admin/console/ring.json", timeout=10).json()


def test_nothing_is_missing_whichever_workers_are_killed(gateway, tmp_path):
    seen, sent = Seen(tmp_path), 0
    for worker in gateway.workers:  # the one that records is among them
        for _ in range(20):
            gateway.predict()
            sent += 1
        wait_for(partial(is_counted, gateway, sent))
        before = seen.times()
        kill(gateway, worker)
        wait_for(partial(has_gone_on, seen, before))
        assert seen.times()[: len(before)] == before
    assert set(gateway.statuses) == {200}
    wait_for(lambda: seen.requests() >= sent)
    assert seen.requests() == sent
    spans = [tick.span_s for tick in seen.ring.ticks]
    times = seen.times()
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(spans[1:])


def test_every_worker_tells_the_same(gateway):
    """Each request has a connection of its own, and so another worker."""
    for _ in range(20):
        gateway.predict()
    wait_for(lambda: asked(gateway)["recent"].get("m"))
    told: list[dict] = []

    def have_told() -> bool:
        # A worker that was asked before there was anything may say so for another moment.
        told.extend(one for _ in range(5 * WORKERS) if (one := asked(gateway))["now"] is not None)
        return len(told) >= 5 * WORKERS

    wait_for(have_told)
    newest = max(told, key=lambda one: one["now"])
    for one in told:
        length = len(one["t"])
        assert newest["t"][:length] == one["t"]
        for name, column in one["total"].items():
            assert newest["total"][name][:length] == column, name


def test_a_reload_of_the_gateway_keeps_the_history(gateway, tmp_path):
    seen = Seen(tmp_path)
    gateway.predict()
    wait_for(lambda: seen.requests() == 1)
    before, workers = seen.times(), set(gateway.workers)
    gateway.process.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(gateway.workers) == WORKERS and not workers & set(gateway.workers), 60)
    gateway.predict()
    wait_for(lambda: seen.requests() == 2)
    assert seen.times()[: len(before)] == before
