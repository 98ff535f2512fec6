"""`make bench-instructions`: what is counted, that each answer is checked, and that a change of the count is told."""

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import BenchError, WrongAnswer
from benchmarks.instructions import callgrind, count, program
from benchmarks.instructions.cases import CASES, KEYS, Case, expected
from benchmarks.instructions.loop import Loop
from benchmarks.reporting import comparison
from gateway.call import Answer, Call
from gateway.telemetry.soon import soon

ROOT = Path(__file__).resolve().parent.parent
needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")

# Two parts of work that is twice and four times a third one, each between two marks.
LOOPS = """
from benchmarks.instructions.callgrind import mark
for times in (1000, 2000, 4000):
    mark()
    for _ in range(times):
        str(1.5)
    mark()
"""


@needs_valgrind
def test_instructions_between_marks_are_those_of_the_work_and_the_same_each_time(tmp_path):
    first, second = (callgrind.count(("-c", LOOPS), tmp_path / str(number)) for number in range(2))
    assert len(first) == 7
    once, twice, four_times = first[1], first[3], first[5]
    assert four_times - twice == pytest.approx(2 * (twice - once), rel=0.005)
    assert twice - once > 1000 * 10
    assert second[1::2] == pytest.approx(first[1::2], rel=0.001)


@needs_valgrind
def test_a_program_that_fails_is_no_count(tmp_path):
    with pytest.raises(BenchError, match=r"failed with code 3; the log: \S+program\.log"):
        callgrind.count(("-c", "raise SystemExit(3)"), tmp_path / "scratch")


def test_a_machine_without_valgrind_is_told_how_to_get_it(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks", "instructions", "--folder", str(tmp_path), "--scratch", str(tmp_path)],
        cwd=ROOT, check=False, capture_output=True, text=True, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stderr == "benchmarks: valgrind is not installed, and counts the instructions: apt-get install valgrind\n"


def test_a_request_costs_what_n_more_of_them_cost_divided_by_n():
    first, second = replace(CASES[0], requests=4), replace(CASES[0], requests=10)
    parts = [900, 800, 70, 1_000 + 4 * 25, 60, 1_000 + 8 * 25, 5, 700, 3, 50 + 10 * 7, 2, 50 + 20 * 7, 40]
    assert [count.of_request(case, number, parts) for number, case in enumerate((first, second))] == [25, 7]


TEXTS = {name: f"the text of {name}" for name in KEYS}


class Gateway:
    """Answers the cases as the gateway does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.under_way = 0
        self.most_under_way = 0
        self.kept: set[bytes] = set()
        self.status: int | None = None
        self.added = 0.0
        self.cache = "hit"

    async def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        try:
            status, document = 200, self.predicted(call)
        except ValueError:
            status, document = 400, {"error": "no number"}
        headers = [("X-Cache", self.cache if call.body in self.kept else "miss")]
        self.kept.add(call.body)
        return Answer(
            self.status or status, document if isinstance(document, bytes) else json.dumps(document).encode(), headers
        )

    def predicted(self, call: Call) -> dict[str, object] | bytes:
        header_bytes = int(call.headers.get("inference-header-content-length", len(call.body)))
        asked, data = json.loads(call.body[:header_bytes]), call.body[header_bytes:]
        if "features" in asked:
            return {"prediction": float(expected(np.array([asked["features"]], np.float32))[0] + self.added)}
        if "instances" in asked:
            return {"predictions": (expected(np.array(asked["instances"], np.float32)) + self.added).tolist()}
        (tensor,) = asked["inputs"]
        flat = np.frombuffer(data, np.float32) if data else np.array(tensor["data"], np.float32)
        answered = expected(flat.reshape(tensor["shape"])) + np.float32(self.added)
        output = {"name": "prediction", "shape": answered.shape, "datatype": "FP32"}
        if data:
            return json.dumps({"outputs": [output]}, separators=(",", ":")).encode() + answered.tobytes()
        return {"outputs": [output | {"data": answered.tolist()}]}


def run(cases: list[Case], gateway: Gateway) -> None:
    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(program.run(cases, gateway.answer, loop, TEXTS))


def small(case: Case) -> Case:
    return replace(case, requests=2 * case.together)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_is_asked_as_a_server_would_ask_it_and_its_answers_are_read(case):
    gateway, case = Gateway(), small(case)
    run([case], gateway)
    assert len(gateway.calls) == (2 + 1 + 2) * case.requests
    assert gateway.most_under_way == case.together
    assert len({call.headers["x-request-id"] for call in gateway.calls}) == len(gateway.calls)
    if case.key:
        assert {call.headers["x-api-key"] for call in gateway.calls} == {TEXTS[case.key]}
    else:
        assert len({call.headers["authorization"] for call in gateway.calls}) == len(gateway.calls)
    assert len({call.body for call in gateway.calls}) == (1 if case.is_kept else 2 * case.requests)
    for call in gateway.calls:
        assert int(call.headers["content-length"]) == len(call.body)
        assert call.complete_s > 0


@pytest.mark.parametrize("case", [case for case in CASES if case.read], ids=lambda case: case.name)
def test_a_wrong_answer_is_no_count(case):
    gateway = Gateway()
    gateway.added = 0.5
    with pytest.raises(WrongAnswer, match=case.name.split(":")[0]):
        run([small(case)], gateway)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_of_another_status_is_no_count(case):
    gateway = Gateway()
    gateway.status = 503
    with pytest.raises(BenchError, match="status 503"):
        run([small(case)], gateway)


def test_an_answer_that_was_not_kept_is_not_counted_as_one_that_was():
    gateway = Gateway()
    gateway.cache = "miss"
    with pytest.raises(BenchError, match="a kept answer"):
        run([small(case) for case in CASES if case.is_kept], gateway)


def test_work_of_a_moment_waits_for_a_word_and_other_timers_do_not():
    loop, done = Loop(), []

    async def put_off() -> None:
        soon(lambda: done.append("soon"))
        timer = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, timer.set)
        await timer.wait()
        assert done == []
        loop.do_waiting()
        assert done == ["soon"]
        loop.do_waiting()
        assert done == ["soon"]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(put_off())


def test_a_count_is_told_beside_the_kept_one_and_a_change_stands_out():
    text = comparison.told(
        {"same": 1001, "dearer": 1_050, "cheaper": 500, "other": 7}, {"same": 1000, "dearer": 1000, "cheaper": 1000}
    )
    assert [line.split("|")[-2].strip() for line in text.splitlines()[2:]] == ["", "**+5.0%**", "**-50.0%**", "new"]
    assert "| dearer | 1,000 | 1,050 |" in text


def test_other_versions_than_the_kept_ones_are_told():
    kept = {"cpu": "one", "python": "3.11.7", "packages": {"numpy": "2.0"}}
    now = {"cpu": "one", "python": "3.11.8", "packages": {"numpy": "2.1"}}
    assert comparison.differences(now, kept) == ["python: 3.11.7 -> 3.11.8", "numpy: 2.0 -> 2.1"]
    assert comparison.differences(now, now) == []


def test_the_gateway_itself_answers_every_case_rightly(tmp_path):
    """The program as callgrind runs it, without callgrind."""
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.instructions.program", tmp_path],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    lines = [json.loads(line) for line in finished.stderr.splitlines()]
    assert sum(line["event"] == "request" for line in lines) == sum((2 + 1 + 2) * case.requests for case in CASES)
    # The rows of the prediction log are written nowhere, by intention.
    told = [line for line in lines if line["level"] in ("warning", "error") and line["logger"] != "prediction_log"]
    assert told == []
