"""The benchmark of open consoles: they ask as the page does, and its figures and bars follow from what was measured."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.console.consoles import open_consoles
from benchmarks.console.live import Found, bars, told
from benchmarks.errors import BenchError
from tests.gateway.fake_serving import FakeServing, serving
from tests.stack.held_gateway import Gateway
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def gateway(tmp_path):
    fake = FakeServing()
    with serving(fake) as port:
        running = Gateway(tmp_path / "gateway.log", fake, port, 1)
        wait_for(running.is_ready)
        yield running
        running.process.stop()


def test_consoles_ask_a_gateway_and_are_told_what_has_not_changed(gateway):
    with open_consoles(gateway.port, 10) as polled:
        wait_for(lambda: polled.answers >= 45)
        wait_for(lambda: polled.unchanged)
    assert polled.answers > polled.unchanged > 0


def test_no_consoles_ask_nothing():
    with open_consoles(free_port(), 0) as polled:
        pass
    assert polled.answers == 0


def test_a_console_that_is_not_answered_is_no_cheap_one():
    with pytest.raises(BenchError, match="a console was not answered"), open_consoles(free_port(), 1) as polled:
        wait_for(lambda: polled.problems)


def test_the_bars_are_held_against_the_medians():
    found = Found({False: [100, 200, 100], True: [99, 190, 98]}, {False: [0.01, 0.02, 0.01], True: [0.03, 0.03, 0.09]}, 90, 30)
    assert found.ratios == pytest.approx([0.99, 0.95, 0.98])
    assert found.shares == pytest.approx([0.02, 0.01, 0.08])
    assert [bar.is_reached for bar in bars(found, 10)] == [True, True]
    found.rps[True], found.idle_share[True] = [90, 180, 99], [0.05, 0.06, 0.05]
    assert [bar.is_reached for bar in bars(found, 10)] == [False, False]
    cost = {"models": 5, "tick_ms": 0.4, "worst_ms": 1, "first_ms": 5, "line_bytes": 900}
    text = told(found, [cost, cost | {"models": 1000}], 10, 64)
    for part in ("64 clients", "10 consoles", "1000 models", "MISSED", "0.900 (0.900-0.990)"):
        assert part in text


@pytest.mark.stack
def test_the_recorder_is_measured_in_a_process_of_its_own():
    command = [sys.executable, "-m", "benchmarks.console.recorder_cost", "7"]
    measured = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert measured["models"] == 7
    assert all(measured[name] > 0 for name in ("tick_ms", "worst_ms", "first_ms", "line_bytes"))
    assert measured["worst_ms"] >= measured["tick_ms"]


@pytest.mark.stack
@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
def test_the_whole_is_measured(tmp_path):
    arguments = ["console", "--rounds", "1", "--window-s", "2", "--warmup-s", "0", "--clients", "8", "--scratch", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "throughput with 10 consoles" in done.output
    assert "of a core for 10 consoles" in done.output
