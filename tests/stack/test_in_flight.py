"""``gateway_in_flight_requests``: how many requests are being handled, over all workers."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.gateway.server.http_cases_connection import post
from tests.gateway.server.http_wire import Wire
from tests.stack.held_gateway import Gateway, held_gateway
from tests.waiting import wait_for


@pytest.fixture
def gateway(tmp_path) -> Iterator[Gateway]:
    with held_gateway(tmp_path, workers=2) as running:
        yield running


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


def test_the_requests_of_a_worker_that_died_are_in_flight_no_longer(gateway):
    gateway.fake.release.clear()
    dying, other = gateway.workers
    # The other one does not take this connection.
    os.kill(other, signal.SIGSTOP)
    try:
        with Wire(gateway.port) as wire:
            wire.play((post(),))
            wait_for(lambda: gateway.in_flight() == 1 + ITSELF)
            os.kill(dying, signal.SIGKILL)
            wire.read_to_the_end()
            assert (wire.is_closed, wire.answers) == (True, [])
    finally:
        os.kill(other, signal.SIGCONT)
    wait_for(lambda: len(gateway.workers) == 2 and dying not in gateway.workers)
    wait_for(lambda: gateway.in_flight() == ITSELF)


def test_a_client_that_goes_away_is_in_flight_no_longer(gateway):
    gateway.fake.release.clear()
    with Wire(gateway.port) as wire:
        wire.play((post(),))
        wait_for(lambda: gateway.in_flight() == 1 + ITSELF)
        wait_for(lambda: gateway.fake.calls.count("Predict") == 1)
    wait_for(lambda: gateway.in_flight() == ITSELF)
    # Its call of the model server was taken back too.
    wait_for(lambda: gateway.fake.ended.count("Predict") == 1)
    gateway.fake.release.set()
    gateway.predict()
    assert gateway.statuses == [200]


ITSELF = 1
"""The request for the metrics is one too."""
