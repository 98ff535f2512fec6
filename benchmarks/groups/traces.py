"""What traces cost: the gateway with some beside one without, before one model server, whatever the receiver of traces does."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.beside import CLIENTS, PLAIN, ROUNDS, Backend, measure_beside
from benchmarks.contender import Contender, Program
from benchmarks.errors import BenchError
from benchmarks.programs.processes import free_port, log_of, running, running_contender
from benchmarks.rounds import Case, measure
from benchmarks.sample import Point
from benchmarks.workload import Workload

FIELDS: Final = ("front_cpu_us", "rps", "p50_ms", "p99_ms")
_RECEIVER: Final = Path(__file__).parents[1] / "programs" / "otlp_receiver.py"
_TAKEN: Final = 200


@dataclass(frozen=True)
class Traces:
    """What a gateway has. ``sampler``: OpenTelemetry's; None: no traces. ``status``: what the receiver answers.

    It answers nothing when that is 0, and is not there when it is None.
    """

    name: str
    sampler: str | None = "always_on"
    status: int | None = _TAKEN


TRACES: Final = (
    Traces(PLAIN, sampler=None),
    Traces("with traces, none sampled", "always_off"),
    Traces("with traces, all sampled"),
    Traces("all sampled, the receiver hangs", status=0),
    Traces("all sampled, the receiver answers 500", status=500),
    Traces("all sampled, the receiver is away", status=None),
)


def run(bench: Bench, least_rounds: int = ROUNDS) -> dict[str, Any]:
    """Points for each, their ratios to the plain gateway, round by round, and what became of the traces."""
    counts: dict[str, Counter[str]] = {}
    measured = measure_beside(bench, "traces", TRACES, partial(_turn, bench, counts), FIELDS, least_rounds=least_rounds)
    return {**measured, "traces": counts}


@contextmanager
def _receiver(bench: Bench, traces: Traces) -> Iterator[Mapping[str, str]]:
    """While open, the receiver runs. Gives the variables of the gateway."""
    if traces.sampler is None:
        yield {}
        return
    port = free_port()
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_TRACES_SAMPLER": traces.sampler}
    if traces.status is None:
        yield told
        return
    argv = (sys.executable, str(_RECEIVER), str(port), str(traces.status))
    with running(Program("traces receiver", argv, f"tcp://127.0.0.1:{port}"), bench.logs_dir):
        yield told


def _turn(bench: Bench, counts: dict[str, Counter[str]], traces: Traces, asked: Workload, backend: Backend) -> list[Point]:
    """Return a point with one window for each number of clients; add to ``counts`` what became of the traces."""
    with ExitStack() as stack:
        environment = stack.enter_context(_receiver(bench, traces))
        port = free_port()
        front = ours.gateway(port, backend.config, backend.port, f"traces {traces.name}", environment)
        contender = Contender(traces.name, port, front, ours.encodings(asked.model))
        one = stack.enter_context(running_contender(contender, bench.logs_dir, (backend.server,)))
        cases = [Case(one, asked, clients, label={"clients": clients}) for clients in CLIENTS]
        points = measure(cases, replace(bench.plan, rounds=1), bench.progress)
    if traces.sampler is not None:
        found = _at_the_end(log_of(contender.front, bench.logs_dir))
        sent = sum(sample.requests for point in points for sample in point.samples)
        if not is_right(found, traces, sent):
            raise BenchError(f"{traces.name}: of {sent} requests these were traced: {dict(found)}")
        counts.setdefault(traces.name, Counter()).update(found)
    return points


def _at_the_end(log: Path) -> Counter[str]:
    """Requests by what became of their traces, as each worker tells at its end."""
    counts: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8").splitlines():
        if '"traces.closed"' in line:
            told = json.loads(line)
            counts.update(kept=told["kept"], exported=told["exported"], **told["dropped"])
    return counts


def is_right(found: Mapping[str, int], traces: Traces, sent: int) -> bool:
    """Whether as many requests of those ``sent`` were traced, and exported, as should be."""
    if traces.sampler == "always_off":
        return found["kept"] < sent / 2  # slow ones are kept whatever the sampler says
    exported = found["kept"] - found["full"] if traces.status == _TAKEN else 0
    return found["kept"] >= sent and found["exported"] == exported
