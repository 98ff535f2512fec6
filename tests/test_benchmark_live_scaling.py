"""Live scaling: what its figures say of requests whose times are known, and that a closed load ends when it is told to."""

import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.contender import JSON, Call, Contender, Encoding, Program
from benchmarks.errors import BenchError
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.records import Outcome, Records, joined
from benchmarks.ours import read_json
from benchmarks.programs.name_server import NAME, NameServer
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rollouts.told import Bar
from benchmarks.scaling import fleet, live
from benchmarks.scaling.cases import CASES, Found
from benchmarks.scaling.figures import back_after_s, late, outcomes, p99_ms, rate
from benchmarks.scaling.waiting_model import workload
from benchmarks.workload import Workload

ROOT = Path(__file__).resolve().parent.parent


def sent(at_s: float, latency_s: float = 0.05, outcome: Outcome = Outcome.RIGHT) -> Records:
    return Records(np.array([at_s]), np.array([latency_s]), np.array([outcome], np.int8), np.array([1]))


STEADY = joined(*(sent(second + part) for second in range(10) for part in (0.0, 0.3, 0.6)))


def test_the_rate_counts_right_answers_when_they_are_given():
    records = joined(sent(0.9, 0.2), sent(1.5, 0.2), sent(1.9, 0.2), sent(1.2, 0.1, Outcome.REFUSED))
    assert rate(records, 1.0, 2.0) == 2.0


def test_a_steady_load_is_back_at_once():
    assert back_after_s(STEADY, 2.0, 10.0, before_ms=50.0) == 0.0


def test_the_way_back_ends_with_the_last_second_that_is_slow():
    assert back_after_s(joined(STEADY, sent(3.2, 2.0), sent(5.1, 0.2)), 3.0, 10.0, before_ms=50.0) == 3.0


def test_a_second_in_which_nothing_is_sent_is_a_bad_one():
    without = STEADY.between(0.0, 4.0)
    assert back_after_s(joined(without, STEADY.between(6.0, 10.0)), 3.0, 10.0, before_ms=50.0) == 3.0
    assert back_after_s(without, 3.0, 10.0, before_ms=50.0) == float("inf")


def test_late_are_those_that_take_twice_as_long_or_fail_after_it_happened():
    records = joined(
        STEADY,
        sent(1.0, 0.5),  # before
        sent(2.9, 0.5),  # under way when it happened
        sent(4.0, 0.101),
        sent(4.0, 0.099),
        sent(4.0, 0.01, Outcome.REFUSED),
    )
    assert late(records, 3.0, before_ms=50.0) == 3
    assert p99_ms(sent(4.0, 0.25), 4.0, 5.0) == pytest.approx(250.0)


def test_only_the_outcomes_that_there_are_are_told():
    assert outcomes(joined(sent(1.0), sent(2.0), sent(3.0, outcome=Outcome.LATE))) == "2 right, 1 late"


def test_the_right_answers_are_the_sums_of_the_features():
    rows = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert workload(Path()).expect(rows).tolist() == [45.0, 145.0]


def test_the_balancings_are_beside_each_other_and_the_bars_say_whose_they_are():
    one = Found({"part": "25.0%"}, [])
    other = Found({"part": "70.0%"}, [Bar("throughput at least 60%", "70.0%", True)])
    shown = live.told({"slow": {"round_robin": one, "least_loaded": other}}, ("round_robin", "least_loaded"))
    assert "slow: part" in shown.splitlines()[1]
    assert shown.splitlines()[1].split()[-2:] == ["25.0%", "70.0%"]
    assert shown.splitlines()[-1] == "reached  least_loaded: throughput at least 60%: 70.0%"


def test_the_command_has_its_options_and_cases():
    result = CliRunner().invoke(cli, ["scaling", "live", "--help"])
    assert result.exit_code == 0
    assert all(option in result.output for option in ("--clients", "--seconds", "--age-s", "--dns-s", "--balancing"))
    assert all(case in result.output for case in CASES)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_without_root_the_command_says_what_it_needs():
    if (pid := os.fork()) == 0:
        os.setuid(65534)
        try:
            fleet.check_possible()
        except BenchError as error:
            os._exit(0 if "needs root" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def asked(server: NameServer) -> tuple[int, list[str]]:
    """The code of the answer to a question for the name, and the addresses in it."""
    name = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1), (server.host, server.port))
        answer = client.recv(512)
    number, flags, _, count, _, _ = struct.unpack("!6H", answer[:12])
    assert number == 7
    return flags & 15, [socket.inet_ntoa(answer[len(answer) - 16 * (count - n) + 12 :][:4]) for n in range(count)]


def test_the_name_server_answers_what_it_is_told_to():
    with NameServer("127.0.0.1", host="127.0.0.9") as server:
        assert asked(server) == (0, ["127.0.0.1"])
        server.addresses = ("127.0.0.2", "127.0.0.3")
        assert asked(server) == (0, ["127.0.0.2", "127.0.0.3"])
        server.addresses = ()
        assert asked(server) == (0, [])
        server.fails = True
        assert asked(server) == (2, [])


def test_a_closed_load_that_is_finished_sends_nothing_more_and_has_every_answer(tmp_path):
    port = free_port()
    argv = (sys.executable, str(ROOT / "tests" / "benchmark_server.py"), str(port), "right")
    ask = Encoding(lambda rows: Call("/", json.dumps({"instances": rows.tolist()}).encode()), read_json)
    server = Contender("right", port, Program("right", argv, f"http://127.0.0.1:{port}/"), {JSON: ask})
    sums = Workload("sums", Path(), lambda rng, rows: rng.random((rows, 3), np.float32), lambda rows: rows.sum(axis=1))
    with running_contender(server, tmp_path / "logs"):
        load = OpenLoop(server, {0: sums}, tmp_path / "load", connections=4).start_closed(4, 600.0, 5.0)
        time.sleep(0.5)  # what is measured
        records = load.finish()
    assert len(records.of(Outcome.RIGHT)) == len(records) > 4
