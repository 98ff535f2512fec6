"""A gateway that is told to stop, by SIGTERM or Ctrl-C. What its worker does then is in tests/gateway/server/test_stop.py."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.gateway.fake_serving import FakeServing, serving
from tests.gateway.server.http_cases_connection import GET, post
from tests.gateway.server.http_wire import Wire
from tests.stack.conftest import Process
from tests.waiting import free_port, wait_for

# Longer than any test takes.
LONG_MS = 60_000
AT_ONCE_S = 5


class Gateway:
    """A gateway process in front of the model server on ``serving_port``, which serves the model ``m``."""

    def __init__(self, folder: Path, serving_port: int) -> None:
        self.port = free_port()
        self.log = folder / "gateway.log"
        models = folder / "models.config"
        models.write_text('model_config_list { config { name: "m" base_path: "/none" model_platform: "tensorflow" } }')
        values = {"port": self.port, "serving_target": f"127.0.0.1:{serving_port}", "workers": 2}
        values |= {"model_config_file": models, "read_timeout_ms": LONG_MS}
        self.process = Process(self.log, ["gateway"], {f"GATEWAY_{name.upper()}": str(value) for name, value in values.items()})

    def wait_until_ready(self) -> None:
        wait_for(self._is_ready_or_dead, 30)
        assert self.process.process.poll() is None, self.log.read_text()

    def _is_ready_or_dead(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return self.process.process.poll() is not None


@pytest.fixture
def starting(tmp_path) -> Iterator[Gateway]:
    with serving(FakeServing()) as serving_port:
        gateway = Gateway(tmp_path, serving_port)
        try:
            yield gateway
        finally:
            gateway.process.stop()


@pytest.fixture
def gateway(starting) -> Gateway:
    starting.wait_until_ready()
    return starting


def press_ctrl_c(gateway: Gateway) -> None:
    """The terminal tells all processes."""
    os.killpg(gateway.process.process.pid, signal.SIGINT)


def refuses(gateway: Gateway) -> bool:
    try:
        Wire(gateway.port).sock.close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_lets_requests_end_that_are_under_way(gateway, stop):
    with Wire(gateway.port) as kept, Wire(gateway.port) as fresh:
        kept.play((GET,))
        kept.read_until(bool)
        kept.play((post()[:-5],))
        fresh.play((post()[:20], 0.3))
        if stop == signal.SIGINT:
            press_ctrl_c(gateway)
        else:
            gateway.process.process.send_signal(stop)
        wait_for(lambda: refuses(gateway), 5)
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
        wait_for(lambda: refuses(gateway), 5)
        assert gateway.process.process.poll() is None
        press_ctrl_c(gateway)
        assert gateway.process.process.wait(AT_ONCE_S) == 0
        assert wire.read_to_the_end() == []
        assert wire.is_closed


def test_ctrl_c_while_the_gateway_starts_leaves_no_traceback(starting):
    pid = starting.process.process.pid
    wait_for(lambda: handles(pid, signal.SIGTERM), 30)
    press_ctrl_c(starting)
    assert starting.process.process.wait(20) == 0
    assert "Traceback" not in starting.log.read_text()


def test_sighup_while_the_gateway_starts_does_not_end_it(starting):
    pid = starting.process.process.pid
    wait_for(lambda: handles(pid, signal.SIGTERM), 30)
    starting.process.process.send_signal(signal.SIGHUP)
    starting.wait_until_ready()


def handles(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split(":\t")[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)
