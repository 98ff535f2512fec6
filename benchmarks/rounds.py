"""Rounds: every case has its window, one after another, then all of them again; so that what drifts meets all alike.

Before each window the load runs for a while unmeasured, and before and after it the contender's answers are checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contender import JSON, Encoding, Floats
from benchmarks.errors import BenchError
from benchmarks.load import exchange, wrk
from benchmarks.programs.processes import Running, RunningContender
from benchmarks.progress import Progress
from benchmarks.sample import Point, Sample
from benchmarks.workload import Workload

_CHECKED = 4
# A body of a megabyte is a load with few variants too, and wrk holds them all in memory.
_MOST_BYTES = 8_000_000
_VARIANTS = 64


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    window_s: int
    warmup_s: int
    rounds: int
    scratch: Path
    # How long a contender may refuse everything after its load has ended.
    retry_s: float = 30.0


@dataclass(frozen=True)
class Case:
    """A contender in one situation; ``encoding``, ``rows`` and ``clients`` make the load, ``label`` names it in the result."""

    running: RunningContender
    workload: Workload
    clients: int
    rows: int = 1
    encoding: str = JSON
    label: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The contender's name."""
        return self.running.contender.name


def measure(
    cases: Sequence[Case], plan: Plan, progress: Progress, after_round: Callable[[], None] = lambda: None
) -> list[Point]:
    """Measure every case in every round. Raises BenchError, WrongAnswer among them: then there is no result."""
    samples: list[list[Sample]] = [[] for _ in cases]
    scripts = [_script(case, plan.scratch / f"case-{number}") for number, case in enumerate(cases)]
    for round_number in range(plan.rounds):
        for case, script, taken in zip(cases, scripts, samples, strict=True):
            progress.step(f"round {round_number + 1}: {case.name} {_told(case.label)}")
            taken.append(_window(case, script, plan, [c.running for c in cases]))
        after_round()
    return [Point(case.name, case.label, tuple(taken)) for case, taken in zip(cases, samples, strict=True)]


def _script(case: Case, folder: Path) -> Path:
    contender = case.running.contender
    requests = [exchange.request_bytes(_encoding(case).ask(rows), contender.port) for rows in _inputs(case)]
    return wrk.write_script(folder, requests, contender.keys)


def _inputs(case: Case) -> list[Floats]:
    size = len(_encoding(case).ask(exchange.draw_inputs(case.workload, case.rows, 1, seed=1)[0]).body) or 1
    return exchange.draw_inputs(case.workload, case.rows, max(2, min(_VARIANTS, _MOST_BYTES // size)), seed=1)


def _encoding(case: Case) -> Encoding:
    return case.running.contender.encodings[case.encoding]


def _window(case: Case, script: Path, plan: Plan, everybody: Sequence[RunningContender]) -> Sample:
    contender, encoding = case.running.contender, _encoding(case)
    checked = exchange.draw_inputs(case.workload, case.rows, _CHECKED, seed=2)
    if plan.warmup_s:
        wrk.load(contender.port, script, case.clients, plan.warmup_s)
    # Also waits until what the load has left in the contender's queues, whose clients are gone, is done.
    exchange.check(contender, encoding, case.workload, checked, plan.retry_s)
    others = _others(case.running, everybody)
    before = _cpu_s(case.running, others)
    window = wrk.load(contender.port, script, case.clients, plan.window_s)
    front_s, backend_s, others_s = (now - then for now, then in zip(_cpu_s(case.running, others), before, strict=True))
    exchange.check(contender, encoding, case.workload, checked, plan.retry_s)
    requests = window.requests
    if requests == window.refused:
        raise BenchError(f"{case.name} answered nothing in {plan.window_s} s to {case.clients} clients")
    return Sample(
        rps=(requests - window.refused) / window.seconds,
        p50_ms=window.p50_ms,
        p99_ms=window.p99_ms,
        max_ms=window.max_ms,
        front_cpu_us=front_s / requests * 1e6,
        backend_cpu_us=backend_s / requests * 1e6,
        others_cores=others_s / window.seconds,
        requests=requests,
        refused=window.refused,
        broken=window.broken,
    )


def _others(mine: RunningContender, everybody: Sequence[RunningContender]) -> list[Running]:
    """The programs of the other contenders; a backend that they share with this one is none of them."""
    programs = {id(program): program for one in everybody for program in (one.front, *one.backends)}
    for program in (mine.front, *mine.backends):
        del programs[id(program)]
    return list(programs.values())


def _cpu_s(mine: RunningContender, others: Sequence[Running]) -> tuple[float, float, float]:
    return mine.front.cpu_s(), sum(one.cpu_s() for one in mine.backends), sum(one.cpu_s() for one in others)


def _told(label: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in label.items())
