"""Live rollouts: what their figures say of requests and logs whose times are known, and that a load ends when it is told to."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.contender import JSON, Call, Contender, Encoding, Program
from benchmarks.errors import BenchError
from benchmarks.load import answer
from benchmarks.load.exchange import draw_inputs
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.records import Outcome, Records, joined
from benchmarks.ours import read_json, write_config
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rollouts import told, versions
from benchmarks.rollouts.cases import CASES
from benchmarks.rollouts.figures import Followed, Moments, Watched, followed, followed_after_s, sent_to, spread_s, watched
from benchmarks.rollouts.orders import Ordered
from benchmarks.workload import Workload, is_right
from gateway.rollout.plan import Plan, State, Step

ROOT = Path(__file__).resolve().parent.parent
STABLE, CANARY = 1, 3
FAILS, SLOW, _, EQUAL = CASES
AT = Moments(steady_s=1.0, asked_s=2.0, decided_s=6.0)


def answered(due_s: float, latency_ms: float = 5.0, version: int = STABLE, outcome: Outcome = Outcome.RIGHT) -> Records:
    return Records(np.array([due_s]), np.array([latency_ms / 1e3]), np.array([outcome], np.int8), np.array([version]))


def a_plan(state: State, reason: str = "") -> Plan:
    times = {"created_us": 0, "state_us": 0, "step_us": 0}
    steps = (Step(100_000),)
    return Plan(
        id="p", model="m", stable=STABLE, canary=CANARY, steps=steps, salt="", author="", state=state, reason=reason, **times
    )


LOAD = joined(
    answered(0.5, 900.0),  # while it got warm
    answered(1.5, 10.0),
    answered(2.5, 40.0),  # while the canary was loaded
    answered(3.0, 70.0, CANARY),
    answered(4.0, 12.0),
    answered(4.5, 50.0, outcome=Outcome.SAVED),
    answered(6.5, 100.0, CANARY),
    answered(7.0, 500.0),
)
ROLLED_BACK = a_plan(State.ROLLING_BACK, "errors 6 of 9")


def figures(records: Records = LOAD, plan: Plan = ROLLED_BACK) -> Watched:
    return watched(records, AT, STABLE, CANARY, plan)


def test_the_times_count_from_the_first_request_to_the_canary_and_from_the_decision():
    found = figures()
    assert found.decided_after_s == pytest.approx(3.0)
    assert found.followed_after_s == pytest.approx(0.6)


def test_the_percentiles_are_those_of_stables_callers_in_each_time():
    found = figures()
    shown = (found.before_ms, found.loading_ms, found.during_ms, found.saved_ms)
    assert shown == pytest.approx((10.0, 40.0, 12.0, 50.0))
    assert found.ratio == pytest.approx(1.2)
    slower = figures(joined(LOAD, answered(4.1, 30.0), answered(4.2, 32.0)))
    assert (slower.middle_ratio, slower.ratio) == pytest.approx((3.0, 3.196))


def test_a_caller_whom_stable_has_answered_for_the_canary_is_the_canarys_and_has_not_failed():
    early = joined(LOAD, answered(2.8, outcome=Outcome.SAVED))
    assert figures(early).decided_after_s == pytest.approx(3.2)
    assert figures(early).failed == 0
    late = joined(LOAD, answered(7.5, 1000.0, outcome=Outcome.SAVED))
    assert figures(late).followed_after_s == pytest.approx(2.5)


def test_of_a_promotion_the_last_answer_of_stable_counts():
    found = figures(plan=a_plan(State.BAKE_AFTER))
    assert found.followed_after_s == pytest.approx(1.5)
    assert told.ended(found) == "promoted"


@pytest.mark.parametrize("outcome", [Outcome.WRONG, Outcome.REFUSED, Outcome.FAILED, Outcome.BROKEN, Outcome.LATE])
def test_every_request_without_a_right_answer_has_failed(outcome):
    assert figures(joined(LOAD, answered(5.0, outcome=outcome))).failed == 1


def test_without_a_request_to_the_canary_there_are_no_figures():
    with pytest.raises(BenchError, match="nobody"):
        figures(answered(1.5), a_plan(State.REFUSED, "no such version"))


def test_when_nobody_was_sent_to_the_old_version_any_more_the_order_was_followed_at_once():
    assert followed_after_s(sent_to(LOAD, CANARY), 8.0) == 0.0
    assert followed_after_s(sent_to(answered(1.0), CANARY), 0.0) == 0.0


def line(revision: int, second: float, pid: int = 7, plan: str = "p", event: str = "rollout.followed") -> str:
    time = f"2026-11-27T18:52:{second:09.6f}Z"
    return json.dumps({"event": event, "rollout": plan, "revision": revision, "pid": pid, "time": time})


def test_the_log_says_which_worker_has_followed_when():
    log = [line(1, 3.25), "Traceback (most recent call last):", line(2, 4.0, event="rollout.changed"), line(2, 4.5, pid=8)]
    first, second = followed("one", log)
    assert (first.worker, first.plan, first.revision, second.worker) == ("one 7", "p", 1, "one 8")
    assert second.at_s - first.at_s == pytest.approx(1.25)


def test_the_spread_is_that_of_the_revision_that_was_followed_least_together():
    log = [line(1, 1.0), line(2, 5.0), line(1, 1.5, pid=8), line(2, 5.9, pid=8), line(2, 30.0, pid=8, plan="another")]
    assert spread_s(followed("one", log), "p", 2) == pytest.approx(0.9)


def test_a_worker_that_has_not_seen_a_revision_has_followed_it_with_the_next_one():
    log = [line(1, 1.0), line(2, 2.0), line(3, 2.5), line(1, 1.1, pid=8), line(3, 2.6, pid=8)]
    assert spread_s(followed("one", log), "p", 2) == pytest.approx(0.6)


def test_a_revision_that_a_worker_has_not_come_to_yet_says_nothing():
    events = [Followed("one", "p", 1, 1.0), Followed("two", "p", 1, 1.2), Followed("one", "p", 2, 9.0)]
    assert spread_s(events, "p", 2) == pytest.approx(0.2)


def test_a_worker_that_does_not_follow_is_no_small_spread():
    with pytest.raises(BenchError, match="followed by 4 workers"):
        spread_s(followed("one", [line(1, 1.0), line(1, 1.1, pid=8)]), "p", 4)


def test_the_tables_have_the_median_and_the_spread():
    rounds = [replace(figures(), decided_after_s=seconds) for seconds in (9.0, 30.0, 12.0)]
    shown = told.cases_table({FAILS: rounds})
    assert "12.0 (9.0-30.0)" in shown
    assert "rolling back: errors" in shown
    assert f"0 of {3 * len(LOAD)}" in shown


def reached(bars: list[told.Bar]) -> list[bool]:
    return [bar.is_reached for bar in bars]


def test_a_bar_is_missed_by_one_bad_round_and_the_ratio_by_its_median():
    good = figures()
    assert reached(told.case_bars(FAILS, [good, good, good])) == [True] * 5
    bad = replace(good, decided_after_s=61.0, followed_after_s=2.1, failed=1, during_ms=99.0)
    assert reached(told.case_bars(FAILS, [good, good, bad])) == [True, False, False, False, True]
    assert reached(told.case_bars(FAILS, [good, bad, bad]))[-1] is False


def test_an_end_for_another_reason_and_a_wrong_end_are_missed():
    taken_back, promoted = figures(), figures(plan=a_plan(State.DONE))
    assert reached(told.case_bars(SLOW, [taken_back]))[0] is False
    assert reached(told.case_bars(EQUAL, [taken_back]))[0] is False
    assert reached(told.case_bars(FAILS, [promoted]))[0] is False
    assert reached(told.case_bars(EQUAL, [promoted]))[0] is True


def test_the_orders_are_told_with_their_bars():
    one = Ordered("p", promoted_s=0.5, undone_s=2.5, requests=100, failed=0)
    assert "0.50" in told.orders_table([one], [0.3])
    assert reached(told.order_bars([one], [0.3])) == [True, False, True, True]


def test_the_right_answers_are_those_of_the_version():
    asked = versions.workloads("canary", Path("nowhere"))
    [rows] = draw_inputs(asked[STABLE], 100, 1, seed=1)
    right = asked[versions.STABLE].expect(rows)
    assert is_right(asked[versions.SLOW].expect(rows), right)
    assert asked[versions.DIFFERS].expect(rows) - right == pytest.approx(np.full(100, versions.DIFFERS_BY), abs=1e-5)


def test_three_in_ten_of_the_requests_of_a_load_are_failed_by_the_failing_version():
    asked = versions.workloads("canary", Path("nowhere"))[versions.FAILS]
    rows = np.concatenate(draw_inputs(asked, 1, 64, seed=3))  # as OpenLoop draws them
    assert (rows[:, 0] < versions.FAILS_BELOW).mean() == pytest.approx(0.3, abs=0.03)


def test_an_answer_of_stable_in_the_place_of_the_canary_is_known():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Model-Version: 1\r\n"
    assert answer.parse(head + b"X-Rollout: canary-failed\r\n\r\n").is_saved
    assert not answer.parse(head + b"\r\n").is_saved


def test_a_policy_is_that_of_each_model_of_the_config(tmp_path):
    write_config(tmp_path / "models.config", {"a": tmp_path, "b": tmp_path}, "model_version_policy { all {} }")
    assert (tmp_path / "models.config").read_text().count("model_version_policy { all {} } }") == 2


@pytest.fixture
def sums(tmp_path):
    """The load of a server that adds up three numbers."""
    port = free_port()
    argv = (sys.executable, str(ROOT / "tests" / "benchmark_server.py"), str(port), "right")
    ask = Encoding(lambda rows: Call("/", json.dumps({"instances": rows.tolist()}).encode()), read_json)
    server = Contender("right", port, Program("right", argv, f"http://127.0.0.1:{port}/"), {JSON: ask})
    asked = Workload("sums", Path(), lambda rng, rows: rng.random((rows, 3), np.float32), lambda rows: rows.sum(axis=1))
    with running_contender(server, tmp_path / "logs"):
        yield OpenLoop(server, {0: asked}, tmp_path / "load", connections=50)


def test_a_load_that_is_finished_sends_nothing_more_and_has_every_answer(sums):
    load = sums.start([(50.0, 600.0)], timeout_s=5.0)
    time.sleep(1.0)  # what is measured
    asked_s = time.monotonic()
    records = load.finish()
    assert time.monotonic() - asked_s < 10.0
    assert len(records.of(Outcome.RIGHT)) == len(records) > 10


def test_a_load_that_was_over_before_is_no_load_of_all_the_time(sums):
    load = sums.start([(50.0, 0.2)], timeout_s=5.0)
    load.wait()
    with pytest.raises(BenchError, match="ended before"):
        load.finish()


def test_the_command_has_its_options():
    result = CliRunner().invoke(cli, ["rollouts", "live", "--help"])
    assert result.exit_code == 0
    assert all(option in result.output for option in ("--seconds", "--rounds", "--rate", "--only"))


def test_the_versions_are_built_by_a_module_that_the_measuring_process_does_not_load():
    code = "import sys, benchmarks.__main__; print('tensorflow' in sys.modules)"
    told_by = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told_by.stdout.strip() == "False"
