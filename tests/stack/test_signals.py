"""A gateway that is told to stop, by SIGTERM or Ctrl-C, turns nobody away whom it has let connect, whatever its worker."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.conftest import Process
from tests.stack.http_cases_app import get
from tests.stack.http_cases_connection import GET, post
from tests.stack.http_servers import REFERENCE, WORKER_CLASSES, WORKERS, AppServer, Gateway, gateways
from tests.stack.http_wire import Wire
from tests.stack.slow_to_begin import BEGUN
from tests.waiting import free_port, wait_for

CLIENTS = 30
# Longer than any test takes.
PATIENT_MS = 60_000
AT_ONCE_S = 5


@pytest.fixture(params=WORKERS)
def worker(request) -> str:
    return request.param


@pytest.fixture
def start(worker, tmp_path) -> Iterator:
    """Starts a bare gunicorn with the worker."""
    started = []

    def start(**config: object) -> AppServer:
        server = AppServer(tmp_path, WORKER_CLASSES[worker], **config)
        started.append(server)
        server.wait_until_ready()
        wait_for(lambda: len(children(server)) == config.get("workers", 1))
        # Of a worker, and not yet of the process that it is a copy of.
        wait_for(lambda: all(minds(pid, "SigCgt", signal.SIGABRT) for pid in children(server)))
        return server

    yield start
    for server in started:
        server.process.stop()


def children(server: AppServer) -> list[int]:
    pid = server.process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def minds(pid: int, mask: str, number: int) -> bool:
    """Whether a signal is in a mask of the process: SigCgt, those that it handles; ShdPnd, those that wait for it."""
    return bool(int(status(pid)[mask], 16) >> (number - 1) & 1)


def status(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


@pytest.mark.parametrize("config", [{}, {"workers": 3}, {"reuse_port": True, "workers": 2}], ids=["one", "three", "reuse_port"])
def test_who_waits_to_be_let_in_is_answered(start, config):
    server = start(**config)
    workers = children(server)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(status(pid)["State"].startswith("T") for pid in workers))
    waiting = [Wire(server.port) for _ in range(CLIENTS)]
    try:
        for place, wire in enumerate(waiting):
            wire.play((get("/healthz"),) if place % 3 else (get("/healthz")[:9],))
        server.process.process.terminate()
        wait_for(lambda: all(minds(pid, "ShdPnd", signal.SIGTERM) for pid in workers))
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        for place, wire in enumerate(waiting):
            if not place % 3:
                wire.play((get("/healthz")[9:],))
        for wire in waiting:
            [answer] = wire.read_to_the_end()
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
            assert wire.is_closed
    finally:
        for wire in waiting:
            wire.sock.close()
    assert server.process.process.wait(20) == 0


def test_who_comes_later_is_refused_and_not_reset(start):
    server = start()
    with Wire(server.port) as slow:
        slow.play((get("/healthz")[:9], 0.2))
        server.process.process.terminate()

        def is_refused() -> bool:
            try:
                Wire(server.port).sock.close()
            except ConnectionRefusedError:
                return True
            return False

        wait_for(is_refused, 1)
        slow.play((get("/healthz")[9:],))
        [answer] = slow.read_to_the_end()
        assert answer.status == 200
    assert server.process.process.wait(20) == 0


def test_while_workers_are_replaced_everybody_is_answered(start):
    """The listener lives on: others accept what the old ones do not."""
    server = start(workers=2)
    old, stop, lost = set(children(server)), threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            with Wire(server.port) as wire:
                wire.play((get("/healthz"),))
                if [answer.status for answer in wire.read_until(bool)] != [200]:
                    lost.append(wire)

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        time.sleep(0.2)
        server.process.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(children(server)) == 2 and not old & set(children(server)), 20)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert lost == []


@pytest.fixture
def gateway(worker, tmp_path) -> Iterator[Gateway]:
    with gateways(tmp_path, read_timeout_ms=PATIENT_MS, workers=2) as (reference, others):
        yield reference if worker == REFERENCE else others[worker]


def press_ctrl_c(gateway: Gateway) -> None:
    """The terminal tells all processes."""
    os.killpg(gateway.process.process.pid, signal.SIGINT)


def test_ctrl_c_lets_requests_end_that_are_under_way(gateway):
    with Wire(gateway.port) as kept, Wire(gateway.port) as fresh:
        kept.play((GET,))
        kept.read_until(bool)
        kept.play((post()[:-5],))
        fresh.play((post()[:20], 0.3))
        press_ctrl_c(gateway)
        time.sleep(0.5)
        kept.play((post()[-5:],))
        fresh.play((post()[20:],))
        assert [answer.status for answer in kept.read_to_the_end()] == [200, 200]
        [answer] = fresh.read_to_the_end()
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
    assert gateway.process.process.wait(20) == 0
    assert "Traceback" not in gateway.log.read_text()


def test_a_second_ctrl_c_ends_within_seconds(gateway):
    with Wire(gateway.port) as wire:
        wire.play((post()[:-5], 0.3))
        press_ctrl_c(gateway)
        time.sleep(0.5)
        assert gateway.process.process.poll() is None
        press_ctrl_c(gateway)
        assert gateway.process.process.wait(AT_ONCE_S) == 0
        assert wire.read_to_the_end() == []
        assert wire.is_closed


def test_a_rest_that_nobody_reads_is_not_waited_for_as_long_as_a_request_is(gateway):
    with Wire(gateway.port) as wire:
        wire.play((b"PUT /healthz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",))
        wire.sock.settimeout(AT_ONCE_S)
        assert wire.sock.recv(65536).startswith(b"HTTP/1.1 405 ")


def test_a_stop_is_heard_by_a_worker_that_has_only_just_begun(worker, tmp_path):
    """One that is lost is made up for by a kill, but only after the graceful time."""
    with serving(FakeServing()) as serving_port:
        settings = {"GATEWAY_WORKER": worker, "GATEWAY_PORT": str(free_port()), "GATEWAY_GRACEFUL_TIMEOUT_S": "60"}
        settings |= {"GATEWAY_SERVING_TARGET": f"127.0.0.1:{serving_port}", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        log = tmp_path / "gateway.log"
        starting = Process(log, ["tests.stack.slow_to_begin"], settings)
        try:
            wait_for(lambda: BEGUN in log.read_text(), 30)
            starting.process.terminate()
            assert starting.process.wait(20) == 0
        finally:
            starting.stop()


def test_ctrl_c_while_the_gateway_starts_leaves_no_traceback(worker, tmp_path):
    with serving(FakeServing()) as serving_port:
        starting = Gateway(tmp_path, worker, serving_port)
        try:
            wait_for(lambda: minds(starting.process.process.pid, "SigCgt", signal.SIGTERM), 30)
            press_ctrl_c(starting)
            assert starting.process.process.wait(20) == 0
            assert "Traceback" not in starting.log.read_text()
        finally:
            starting.process.stop()
