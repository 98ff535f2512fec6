"""The benchmark itself: it notices wrong answers, loses no request, leaves no process behind, and tells what it measured."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from benchmarks import logged_rows
from benchmarks.__main__ import GROUPS
from benchmarks.bench import Bench
from benchmarks.beside import CLIENTS, ratios
from benchmarks.contender import JSON, Call, Contender, Encoding, Program
from benchmarks.errors import BenchError, WrongAnswer
from benchmarks.groups import guarded, traces
from benchmarks.groups.guarded import GUARDS, Guard
from benchmarks.groups.overload import recovery_s
from benchmarks.groups.peers import Entrant, turns
from benchmarks.load import answer, exchange
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.records import Outcome, Records
from benchmarks.ours import read_json
from benchmarks.programs import proc
from benchmarks.programs.processes import free_port, running, running_contender
from benchmarks.progress import shown
from benchmarks.reporting import bars, readme, report, results
from benchmarks.rounds import Case, Plan, measure
from benchmarks.sample import Point, Sample
from benchmarks.workload import Workload
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")

SUMS = Workload("sums", Path(), lambda rng, rows: rng.random((rows, 3), np.float32), lambda rows: rows.sum(axis=1))
WRONG_WAYS = ("wrong", "fewer", "garbage")


def contender(way: str, name: str | None = None) -> Contender:
    port = free_port()
    argv = (sys.executable, str(ROOT / "tests" / "benchmark_server.py"), str(port), way)
    program = Program(name or way, argv, f"http://127.0.0.1:{port}/", start_timeout_s=20)
    ask = Encoding(lambda rows: Call("/", json.dumps({"instances": rows.tolist()}).encode()), read_json)
    return Contender(name or way, port, program, {JSON: ask})


@pytest.fixture
def serve(tmp_path):
    """Starts servers that answer in some way; they end with the test."""
    contexts = []

    def start(way: str, name: str | None = None):
        context = running_contender(contender(way, name), tmp_path / "logs")
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def plan(tmp_path) -> Plan:
    return Plan(window_s=1, warmup_s=0, rounds=2, scratch=tmp_path / "scratch")


def cases(*servers) -> list[Case]:
    return [Case(server, SUMS, clients, label={"clients": clients}) for clients in (1, 3) for server in servers]


@needs_wrk
def test_every_case_is_measured_in_every_round(serve, plan):
    with shown() as progress:
        points = measure(cases(serve("right", "one"), serve("right", "two")), plan, progress)
    assert [(point.contender, point.case["clients"]) for point in points] == [("one", 1), ("two", 1), ("one", 3), ("two", 3)]
    for point in points:
        assert len(point.samples) == plan.rounds
        for sample in point.samples:
            assert sample.requests > 0
            assert sample.front_cpu_us > 0
            assert sample.p50_ms <= sample.p99_ms <= sample.max_ms
            assert sample.refused == sample.broken == 0
        assert json.loads(json.dumps(point.as_json(), allow_nan=False))["median"]["rps"] > 0


@needs_wrk
def test_a_backend_that_contenders_share_counts_for_each_of_them_and_disturbs_none(plan, tmp_path):
    burning = "import socket; listener = socket.create_server(('127.0.0.1', {})); exec('while True: pass')"
    port = free_port()
    with run_python(tmp_path, burning.format(port), f"tcp://127.0.0.1:{port}") as backend, ExitStack() as stack:
        servers = [
            stack.enter_context(running_contender(contender("right", name), tmp_path / "logs", (backend,)))
            for name in ("one", "two")
        ]
        with shown() as progress:
            points = measure(cases(*servers)[:2], replace(plan, rounds=1), progress)
    for point in points:
        (sample,) = point.samples
        assert sample.backend_cpu_us > sample.others_cores * 1e6 / sample.requests
        assert sample.others_cores < 0.1 < sample.backend_cpu_us * sample.requests / 1e6


@needs_wrk
@pytest.mark.parametrize("way", WRONG_WAYS)
def test_a_contender_that_answers_wrongly_is_not_measured(serve, plan, way):
    with shown() as progress, pytest.raises(WrongAnswer, match=way):
        measure(cases(serve("right"), serve(way)), plan, progress)


@needs_wrk
def test_answers_that_are_refusals_are_not_counted_as_requests_served(serve, plan):
    with shown() as progress:
        first, second = measure(cases(serve("moody"))[:1], plan, progress)[0].samples
    for sample in (first, second):
        assert 0 < sample.refused < sample.requests
        assert sample.rps == pytest.approx((sample.requests - sample.refused), rel=0.2)


@needs_wrk
def test_every_request_of_a_closed_loop_has_an_id_and_a_token_of_its_own(serve, plan):
    """Warm-up, windows and checks come from processes of their own; each of their requests is new to the server."""
    with shown() as progress:
        samples = measure(cases(serve("jealous")), replace(plan, warmup_s=1), progress)[1].samples
    assert [sample.refused for sample in samples] == [0, 0]


@needs_wrk
def test_requests_to_a_contender_with_keys_carry_each_of_them_as_often(serve, plan):
    server = serve("right")
    keyed = replace(server, contender=replace(server.contender, keys=("one", "two", "three")))
    with shown() as progress:
        (sample,) = measure(cases(keyed)[:1], replace(plan, rounds=1), progress)[0].samples
    with urlopen(server.contender.front.ready_url, timeout=10) as answer:
        counts = json.load(answer)
    assert counts.keys() == {"Bearer one", "Bearer two", "Bearer three"}
    assert sum(counts.values()) >= sample.requests
    assert max(counts.values()) - min(counts.values()) <= 3  # the loads and checks begin with any of them


def test_a_gateway_that_lets_in_without_a_key_or_counts_no_limit_is_not_measured(serve):
    server = serve("right").contender
    guarded.check(Guard("open"), server, SUMS)
    for guard in (Guard("keyed", has_keys=True), Guard("limited", limits="1/s; 2/s")):
        with pytest.raises(BenchError, match=guard.name):
            guarded.check(guard, server, SUMS)


def logged(tmp_path: Path, rows: int, **outcomes: int) -> logged_rows.LoggedRows:
    """What is found of a log with so many rows in its database, and 10 requests and these rows in its metrics."""
    database = tmp_path / "log.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE predictions (seq)")
        connection.executemany("INSERT INTO predictions VALUES (?)", [(number,) for number in range(rows)])
    lines = [f'gateway_prediction_log_rows_total{{outcome="{name}",table="predictions"}} {n}.0' for name, n in outcomes.items()]
    lines += ['gateway_requests_total{status="200"} 9.0', 'gateway_requests_total{status="499"} 1.0']
    lines += ['gateway_prediction_log_rows_total{outcome="dropped_full",table="feedback"} 5.0']
    (tmp_path / "metrics").write_text("\n".join(["# TYPE gateway_requests counter", *lines, ""]))
    port = free_port()
    argv = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with running(Program("metrics", argv, f"tcp://127.0.0.1:{port}", folder=tmp_path), tmp_path / "logs"):
        return logged_rows.settled("a gateway", port, database, within_s=0.3)


def test_each_request_to_a_log_is_a_row_or_counted(tmp_path):
    found = logged(tmp_path, 5, dropped_full=1, dropped_stop=2, unsampled=2, written=5)
    assert found == logged_rows.LoggedRows(requests=10, rows=5, dropped=3, unsampled=2)


def test_a_log_that_lacks_a_row_is_not_measured(tmp_path):
    with pytest.raises(BenchError, match="the log of a gateway does not account for all requests"):
        logged(tmp_path, 9, written=10)


def test_costs_are_told_as_ratios_of_windows_of_the_same_round():
    windows = [
        [Sample(rps, 1, 1, 1, cpu, 1, 0, 1, 0, 0) for rps, cpu in pairs] for pairs in ([(9, 2), (4, 8)], [(3, 4), (2, 4)])
    ]
    costly, plain = (Point(name, {}, tuple(samples)) for name, samples in zip(("costly", "plain"), windows, strict=True))
    assert ratios(costly, plain, guarded.FIELDS) == {"front_cpu_us": [0.5, 2], "rps": [3, 2]}


@needs_wrk
@pytest.mark.stack
def test_keys_limits_and_logs_are_measured_beside_a_gateway_without(plan, tmp_path):
    """The real thing, one round: keys are asked for, limits counted, and the databases hold what was asked."""
    subprocess.run([sys.executable, "-m", "benchmarks.saved_models", str(tmp_path / "models")], cwd=ROOT, check=True)
    with shown() as progress:
        told = guarded.run(Bench(replace(plan, rounds=1), tmp_path / "models", progress), least_rounds=1)
    assert Counter((p["contender"], p["case"]["clients"]) for p in told["points"]) == Counter(
        (guard.name, clients) for guard in GUARDS for clients in CLIENTS
    )
    assert all(sample["requests"] > 0 == sample["refused"] for p in told["points"] for sample in p["samples"])
    assert [len(ratio["front_cpu_us"]) for ratio in told["ratios"]] == [1] * (len(GUARDS) - 1) * len(CLIENTS)
    for log, guard in zip(told["logs"].values(), GUARDS[-2:], strict=True):
        assert log["rows"] + log["dropped"] + log["unsampled"] == log["requests"] > 0
        assert (log["unsampled"] > log["rows"]) == (guard.logged == 0.01)
    assert not list(plan.scratch.rglob("*.db"))


@needs_wrk
def test_a_peer_that_answers_wrongly_is_left_out_and_named(plan):
    failures = {}
    ways = {"good": "right", "bad": "wrong"}
    entrants = [Entrant(name, lambda port, model, way=way: contender(way)) for name, way in ways.items()]
    with shown() as progress:
        points = turns(Bench(plan, Path(), progress), entrants, SUMS, (1,), failures)
    assert [(point["contender"], len(point["samples"])) for point in points] == [("good", plan.rounds)]
    assert failures.keys() == {"bad"}
    assert "wrong gave predictions that are not the model's" in failures["bad"]


@needs_wrk
def test_when_the_gateway_itself_answers_wrongly_there_is_no_result(plan):
    entrants = [Entrant("gateway", lambda port, model: contender("wrong"))]
    with shown() as progress, pytest.raises(WrongAnswer):
        turns(Bench(plan, Path(), progress), entrants, SUMS, (1,), {})


def test_a_contender_that_only_refuses_is_not_measured(serve):
    refusing = serve("refusing").contender
    with pytest.raises(BenchError, match="refusing answered POST / with 503"):
        exchange.check(refusing, refusing.encodings[JSON], SUMS, exchange.draw_inputs(SUMS, 1, 1, seed=0), retry_s=0.3)


def test_a_contender_may_refuse_for_a_while_after_its_load(serve):
    """One that recovers is measured: what it refused under load is counted there."""
    recovering = serve("recovering").contender
    exchange.check(recovering, recovering.encodings[JSON], SUMS, exchange.draw_inputs(SUMS, 1, 2, seed=0), retry_s=20)


def test_a_contender_that_does_not_answer_is_told(serve):
    gone = contender("right")
    with pytest.raises(BenchError, match="right does not answer"):
        exchange.check(gone, gone.encodings[JSON], SUMS, exchange.draw_inputs(SUMS, 1, 1, seed=0))


def run_python(tmp_path: Path, code: str, ready_url: str, timeout_s: float = 20):
    return running(Program("program", (sys.executable, "-c", code), ready_url, start_timeout_s=timeout_s), tmp_path)


def test_a_program_that_ends_is_told_with_its_last_words(tmp_path):
    with (
        pytest.raises(BenchError, match=r"ended with code 3: no luck"),
        run_python(tmp_path, "import sys; print('no luck'); sys.exit(3)", "tcp://127.0.0.1:1"),
    ):
        pass


def test_a_program_does_not_see_the_settings_of_whoever_measures(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_BATCH_MAX_ROWS", "0")
    code = "import os, sys; sys.exit(str([name for name in os.environ if name.startswith('GATEWAY_')]))"
    with pytest.raises(BenchError, match=r"ended with code 1: \[\]"), run_python(tmp_path, code, "tcp://127.0.0.1:1"):
        pass


def test_a_program_that_does_not_get_ready_is_told_and_ended(tmp_path):
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(BenchError, match="not ready after 1 s"), run_python(tmp_path, code, "tcp://127.0.0.1:1", timeout_s=1):
        pass
    assert not proc.is_running(int((tmp_path / "pid").read_text()))


ORPHAN = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", {port}))
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        open({file!r}, "w").write(str(os.getpid()))
        until = time.process_time() + 0.3
        while time.process_time() < until: pass
        time.sleep(60)
    os._exit(0)
os.wait()
time.sleep(60)
"""


def test_the_processor_time_of_orphans_counts_and_they_are_ended(tmp_path):
    port, file = free_port(), tmp_path / "pid"
    with run_python(tmp_path, ORPHAN.format(port=port, file=str(file)), f"tcp://127.0.0.1:{port}") as program:
        orphan = int(wait_for(lambda: file.exists() and file.read_text()))
        assert orphan in program.pids()
        wait_for(lambda: program.cpu_s() >= 0.3)
        assert proc.memory([orphan]).rss_mb >= proc.memory([orphan]).pss_mb > 0
    assert not proc.is_running(orphan)


def open_loop(server, tmp_path: Path) -> OpenLoop:
    return OpenLoop(server.contender, {0: SUMS}, tmp_path / "load", connections=50)


OUTCOMES = {
    "right": Outcome.RIGHT,
    "wrong": Outcome.WRONG,
    "garbage": Outcome.WRONG,
    "failing": Outcome.FAILED,
    "refusing": Outcome.REFUSED,
    "unexplained": Outcome.FAILED,
    "silent": Outcome.LATE,
}


@pytest.mark.parametrize("way", OUTCOMES)
def test_the_generator_sends_at_the_given_rate_and_tells_every_outcome(serve, tmp_path, way):
    records = open_loop(serve(way), tmp_path).start([(40, 1)], timeout_s=2).wait()
    assert 20 <= len(records) <= 60
    assert records.counts() == {outcome.name.lower(): len(records) * (outcome is OUTCOMES[way]) for outcome in Outcome}


def test_every_request_of_an_open_loop_has_an_id_and_a_token_of_its_own(serve, tmp_path):
    load = open_loop(serve("jealous"), tmp_path)
    for records in (load.closed(2, 0.5), load.start([(200, 1)], timeout_s=2).wait()):
        assert len(records.of(Outcome.RIGHT)) == len(records) > 64


def test_requests_to_a_server_that_is_gone_are_broken(serve, tmp_path):
    server = serve("right")
    load = open_loop(server, tmp_path)
    server.front.process.kill()
    server.front.process.wait()
    records = load.start([(40, 1)], timeout_s=2).wait()
    assert len(records.of(Outcome.BROKEN)) == len(records) > 0


def test_latency_counts_from_the_moment_at_which_a_request_was_due(serve, tmp_path):
    """One connection, and each tenth answer takes a second: those behind it waited too, and their latency says so."""
    load = OpenLoop(serve("slow").contender, {0: SUMS}, tmp_path / "load", connections=1)
    records = load.start([(20, 2)], timeout_s=30).wait()
    assert records.counts()["right"] == len(records) >= 20
    assert int((records.latency_s > 0.5).sum()) > len(records) // 10


def test_a_closed_loop_keeps_as_many_requests_under_way_as_clients(serve, tmp_path):
    records = open_loop(serve("right"), tmp_path).closed(4, 0.5)
    assert len(records.of(Outcome.RIGHT)) == len(records) >= 4


def test_an_answer_is_read_when_its_last_byte_is_there():
    whole = b"HTTP/1.1 200 OK\r\nX-Model-Version: 7\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    assert all(answer.parse(whole[:length]) is None for length in range(len(whole)))
    told = answer.parse(whole)
    assert (told.status, told.body, told.version, told.has_retry_after, told.is_last) == (200, b"abc", 7, False, True)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", b"hello\r\n\r\n"]
)
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(answer.Unreadable):
        answer.parse(data)


def records_of(latencies_ms: list[float], outcome: Outcome = Outcome.RIGHT) -> Records:
    """One request every 10 ms."""
    count = len(latencies_ms)
    due_s = np.arange(count) / 100
    return Records(due_s, np.array(latencies_ms) / 1e3, np.full(count, outcome, np.int8), np.zeros(count, np.int64))


def test_recovery_lasts_until_the_first_steady_second_and_the_last_failed_request():
    assert recovery_s(records_of([5] * 400), 1.0, normal_ms=5) == 0
    assert recovery_s(records_of([5] * 150 + [100] * 100 + [5] * 150), 1.0, normal_ms=5) == pytest.approx(1.6, abs=0.2)
    assert recovery_s(records_of([5] * 400, Outcome.REFUSED), 1.0, normal_ms=5) >= 2.9
    assert recovery_s(records_of([5] * 100 + [100] * 300), 1.0, normal_ms=5) >= 2.9
    one_late_spike = [5] * 100 + [100] * 10 + [5] * 200 + [100] * 5 + [5] * 85
    assert recovery_s(records_of(one_late_spike), 1.0, normal_ms=5) == pytest.approx(0.2, abs=0.1)
    one_late_failure = records_of([5] * 400)
    one_late_failure.outcome[350] = Outcome.FAILED
    assert recovery_s(one_late_failure, 1.0, normal_ms=5) == pytest.approx(2.6, abs=0.2)


def test_percentiles_and_times_of_records():
    records = records_of([float(value) for value in range(100)])
    assert records.latency_ms(50) == pytest.approx(49.5)
    assert len(records.between(0.2, 0.4)) == 20
    assert len(records.within(0.0499)) == 50
    assert sum(piece["right"] for piece in records.timeline(0.1)) == pytest.approx(1000, abs=20)


@pytest.mark.parametrize("bar", bars.BARS, ids=lambda bar: bar.what)
def test_a_bar_that_was_not_measured_says_so(bar):
    assert bar.verdict(bar.measured({})) == "not measured"


@pytest.mark.parametrize("bar", bars.BARS, ids=lambda bar: bar.what)
def test_a_bar_is_never_reached_beyond_its_bound(bar):
    worse = -1e-9 if bar.more_is_better else 1e-9
    assert bar.verdict(bar.aim) == "aim reached"
    assert bar.verdict(bar.enough + worse) == "**not reached**"
    assert bar.verdict(bar.enough) in ("reached", "aim reached")


def point(name: str, case: dict[str, object], **figures: float) -> dict[str, object]:
    fields = ("rps", "p50_ms", "p99_ms", "max_ms", "front_cpu_us", "backend_cpu_us", "others_cores", "refused", "broken")
    return {"contender": name, "case": case, "median": dict.fromkeys(fields, 1.0) | figures, "samples": []}


def guards() -> dict[str, object]:
    ratios = [{"contender": "with keys", "case": {"clients": 32}, "front_cpu_us": [1.0, 2.0], "rps": [0.5, 1.0]}]
    logs = {"with a prediction log": {"requests": 10, "rows": 8, "dropped": 2, "unsampled": 0}}
    return {"points": [point("with keys", {"clients": 32})], "ratios": ratios, "logs": logs}


def traced() -> dict[str, object]:
    ratios = [{"contender": "all sampled", "case": {"clients": 32}, "rps": [1.0, 1.0], "p99_ms": [1.0, 2.0]}]
    counts = {"all sampled": {"kept": 10, "exported": 6, "full": 1, "failed": 3}}
    return {"points": [point("all sampled", {"clients": 32})], "ratios": ratios, "traces": counts}


def measured() -> dict[str, object]:
    """Results in which every bar has its figure: ours is twice whatever it is compared with."""
    timeline = [{"at_s": 0.0, "due": 1.0, "in_time": 1.0, "refused": 0.0, "p99_ms": 1.0}]
    baselines = (bars.contenders.EMPTY, bars.contenders.IN_PROCESS, bars.contenders.FASTAPI)
    rows = [point(name, {"clients": n}) for n in (1, 32) for name in baselines]
    rows += [point("gateway", {"clients": n}, rps=2, front_cpu_us=2, p50_ms=2) for n in (1, 32)]
    rows.append(point("gateway", {"clients": 32, "encoding": "binary"}, front_cpu_us=4))
    told = {"gateway": 2, "mosec": 1, "litserve": 1, "bentoml": 0.5}
    peers = [point(name, {"clients": n}, rps=rps) for n in (32, 256) for name, rps in told.items()]
    pictures = [("gateway", "json", 2), ("gateway", "binary", 4), (bars.contenders.PLAIN_IMAGE, "json", 1)]
    image = [point(name, {"encoding": encoding}, rps=rps) for name, encoding, rps in pictures]
    growth = [point("gateway", {kind: n}) for kind in ("rows", "models", "clients") for n in (1, 2)]
    swap = {"p99_before_ms": 1, "p99_during_ms": 2}
    overload = {"good_share": 2, "failed_share": 2, "refused_p99_ms": 2, "recovery_s": 2}
    return {
        "rows": {"points": rows, "grpc": {"median": {"p50_ms": 1, "p99_ms": 1}}},
        "image": {"points": image, "numbers": 1000},
        "growth": {"points": growth, "rows_clients": 4, "models_clients": 32},
        "swap": {"median": swap, "failures": 2, "rate": 1, "last": {"timeline": timeline, "swapped_at_s": 0.1}},
        "start": {"median": {"rss_mb": 2, "start_s": 2}},
        "cache": {"points": [point("cache hit", {"clients": 1})]},
        "proofs": {"points": [point("with proofs", {"clients": 32})], "median": {"median of the pairs": 1}, "ratios": [1.0]},
        "guarded": guards(),
        "traces": traced(),
        "overload": {"median": overload, "last": {"timeline": timeline}},
        "workers": {"points": [point("the gateway, 1 worker", {"clients": 32})]},
        "peers": {"rows": peers, "image": [point("gateway", {"clients": 1})], "failures": {"ray_serve": "no luck"}},
    }


@pytest.mark.parametrize("bar", bars.BARS, ids=lambda bar: bar.what)
def test_every_bar_reads_its_figure_from_the_results(bar):
    assert bar.measured(measured()) == pytest.approx(2)


MACHINE = {
    "cpu": "a processor", "cores": 2, "memory_gb": 16.0, "kernel": "Linux 6", "python": "3.11", "time": "2026-01-02T03:04:05",
    "load_average": [0.5, 0.5, 0.5], "commit": "abc",
}  # fmt: skip


def test_the_report_has_whole_tables_for_every_group():
    text = report.full(measured(), {results.BENCH: MACHINE})
    for name in (*GROUPS, "peers"):
        without = {group: told for group, told in measured().items() if group != name}
        assert len(report.full(without, {results.BENCH: MACHINE})) < len(text), name
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1, block
    assert "ray_serve is left out: no luck" in text
    assert "a processor, 2 cores" in text


def test_the_costs_of_keys_limits_and_the_log_are_in_the_report_and_the_readme():
    told = results.Results(measured(), {results.BENCH: MACHINE})
    for text in (report.full(told.groups, told.machines), readme.section_of(told)):
        assert "| 32 | with keys | CPU | 1.500 | 0.750 | 2.250 | 1.000 | 2.000 |" in text
        assert "| with a prediction log | 10 | 8 | 2 | 0 |" in text


def test_the_costs_of_traces_and_what_became_of_them_are_in_the_report():
    text = report.full(measured(), {results.BENCH: MACHINE})
    assert "| 32 | all sampled | p99 | 1.500 | 0.750 | 2.250 | 1.000 | 2.000 |" in text
    assert "| all sampled | 10 | 6 | 1 | 3 |" in text


@pytest.mark.parametrize(
    ("sampler", "status", "found", "is_right"),
    [
        ("always_off", 200, {"kept": 1}, True),
        ("always_off", 200, {"kept": 10}, False),
        ("always_on", 200, {"kept": 10, "exported": 9, "full": 1}, True),
        ("always_on", 200, {"kept": 10, "exported": 8, "full": 1}, False),
        ("always_on", 200, {"kept": 9, "exported": 9}, False),
        ("always_on", 0, {"kept": 10, "full": 4, "stop": 6}, True),
        ("always_on", 0, {"kept": 10, "exported": 10}, False),
    ],
)
def test_traces_that_are_not_as_said_are_not_measured_as_cheap(sampler, status, found, is_right):
    assert traces.is_right(Counter(found), traces.Traces("so", sampler, status), 10) == is_right


def test_the_same_results_make_the_same_plots(tmp_path):
    pytest.importorskip("matplotlib", reason="installed by make bench only")
    from benchmarks.reporting import plots

    files = plots.write(measured(), tmp_path / "one")
    assert {file.stem for file in files} == measured().keys() - {"start", "cache", "proofs", "guarded", "traces", "workers"}
    for file, again in zip(files, plots.write(measured(), tmp_path / "two"), strict=True):
        assert file.read_bytes() == again.read_bytes()
        assert 1_000 < file.stat().st_size < 200_000


def test_results_come_back_as_they_were_written(tmp_path):
    results.write(tmp_path / results.BENCH, MACHINE, {"rounds": 1}, {"start": measured()["start"]})
    results.write(tmp_path / results.PEERS, MACHINE, {"rounds": 1}, {"peers": measured()["peers"]})
    told = results.read(tmp_path)
    assert told.groups == {name: measured()[name] for name in ("start", "peers")}
    assert told.machines == {results.BENCH: MACHINE, results.PEERS: MACHINE}


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BenchError, match=f"--folder {folder}: Not a directory|File exists"):
            results.check_writable(folder)
    results.check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_figure_that_is_no_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write(tmp_path / results.BENCH, MACHINE, {}, {"start": float("nan")})
    with pytest.raises(BenchError, match="no results"):
        results.read(tmp_path)


def test_the_readme_is_changed_between_its_markers_only(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    told = results.Results(measured(), {results.BENCH: MACHINE})
    readme.write(told, file)
    text = file.read_text()
    assert text == f"before\n<!-- bench -->\n{readme.section_of(told)}<!-- /bench -->\nafter\n"
    readme.write(told, file)
    assert file.read_text() == text


def test_a_readme_without_markers_is_left_alone(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("nothing to replace\n")
    with pytest.raises(BenchError, match="has no section"):
        readme.write(results.Results(measured(), {}), file)
    assert file.read_text() == "nothing to replace\n"


def test_the_figures_of_the_readme_are_those_of_the_results():
    assert readme.section_of(results.read(results.KEPT)) in readme.FILE.read_text()


def test_the_report_of_the_results_that_are_kept_is_theirs():
    told = results.read(results.KEPT)
    assert (results.KEPT / "results.md").read_text() == report.full(told.groups, told.machines)


def test_a_run_changes_no_file_that_is_tracked_unless_it_is_told_to_keep_its_results():
    assert f"/{results.LATEST.relative_to(ROOT).parts[0]}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert results.KEPT not in (results.LATEST, *results.LATEST.parents)


def test_only_the_runs_that_are_there_are_kept(tmp_path):
    latest, kept = tmp_path / "latest", tmp_path / "kept"
    results.write(kept / results.BENCH, MACHINE, {}, {"start": {"old": 1}})
    results.write(kept / results.PEERS, MACHINE, {}, {"peers": {"old": 1}})
    results.write(latest / results.BENCH, MACHINE, {}, {"start": {"new": 1}})
    results.keep(latest, kept)
    assert results.read(kept).groups == {"start": {"new": 1}, "peers": {"old": 1}}
    results.keep(kept, kept)
    assert results.read(kept).groups == {"start": {"new": 1}, "peers": {"old": 1}}


@needs_wrk
@pytest.mark.stack
def test_a_run_writes_json_and_markdown(tmp_path):
    """The real thing, short: models are built, the stack starts, and figures come out."""
    folder = tmp_path / "results"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "run",
        "--only",
        "start",
        "--window-s",
        "1",
        "--warmup-s",
        "0",
        "--rounds",
        "1",
    ]
    began_s = time.time()
    finished = subprocess.run(
        [*command, "--folder", str(folder), "--scratch", str(tmp_path / "scratch")],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    told = json.loads((folder / results.BENCH).read_text())
    assert told["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert told["options"] == {"window_s": 1, "warmup_s": 0, "rounds": 1}
    assert 0 < told["groups"]["start"]["median"]["start_s"] < time.time() - began_s
    assert 0 < told["groups"]["start"]["median"]["pss_mb"] <= told["groups"]["start"]["median"]["rss_mb"]
    assert "## Start and memory" in (folder / "results.md").read_text()


def test_a_wrong_command_line_is_one_line_and_code_2():
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", "--only", "nothing"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert finished.returncode == 2
    assert "'nothing' is not one of" in finished.stderr


def test_a_machine_without_wrk_is_told_how_to_get_it(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", "--scratch", str(tmp_path)],
        cwd=ROOT, check=False, capture_output=True, text=True, env=os.environ | {"PATH": str(tmp_path)},
    )  # fmt: skip
    assert finished.returncode == 1
    assert (
        finished.stderr == "benchmarks: wrk is not installed, and makes the load: apt-get install wrk (or brew install wrk)\n"
    )
