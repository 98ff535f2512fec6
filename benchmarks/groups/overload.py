"""Twice the load that the gateway can carry: what is answered in time, how the rest is refused, what follows.

The peak is that of a closed loop of the same client, which checks every answer and takes its part of the processor in both.
Then half the peak, twice the peak, half the peak, each request at its time whatever became of the others.
"""

from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.errors import BenchError
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.records import Outcome, Records
from benchmarks.programs.processes import free_port, running_contender

CLIENTS: Final = (64, 256, 1024)
OFFERED: Final = 2.0
NORMAL: Final = 0.5
# In time: within the gateway's own deadline for a request.
IN_TIME_S: Final = 2.0
_TIMEOUT_S: Final = 5.0
_CONNECTIONS: Final = 16_000
_NORMAL_S: Final = 3.0
_AFTER_S: Final = 4.0
_BIN_S: Final = 0.2
# p99 is back to normal when it is at most this many times what it was before.
_BACK: Final = 2.0
_BACK_MS: Final = 10.0
_STEADY_S: Final = 1.0


def run(bench: Bench) -> dict[str, Any]:
    """Return for each round: peak, the share of it that was answered in time under overload, refusals, recovery_s."""
    asked = workload.dense(bench.models_dir)
    contender = ours.contender(free_port(), asked.saved_model, bench.plan.scratch)
    with running_contender(contender, bench.logs_dir):
        load = OpenLoop(contender, {0: asked}, bench.plan.scratch / "overload", _CONNECTIONS)
        bench.progress.begin("overload", 2 * bench.plan.rounds)
        told = []
        for number in range(bench.plan.rounds):
            bench.progress.step(f"round {number + 1}: the peak")
            peak = max(_rate(load, clients, bench.plan.window_s) for clients in CLIENTS)
            bench.progress.step(f"round {number + 1}: {OFFERED:g} times {peak:.0f} requests/s")
            records = load.start(_phases(peak, bench.plan.window_s), _TIMEOUT_S).wait()
            told.append(_told(records, peak, bench.plan.window_s))
    bench.progress.end()
    # A round without refusals has no latency of refusals.
    names = dict.fromkeys(name for one in told for name in one)
    middle = {name: median(one[name] for one in told if name in one) for name in names}
    return {"median": middle, "rounds": told, "last": {"timeline": _timeline(records)}}


def _rate(load: OpenLoop, clients: int, seconds: int) -> float:
    return len(load.closed(clients, seconds).of(Outcome.RIGHT)) / seconds


def _phases(peak: float, window_s: int) -> list[tuple[float, float]]:
    return [(NORMAL * peak, _NORMAL_S), (OFFERED * peak, _overload_s(window_s)), (NORMAL * peak, _AFTER_S)]


def _overload_s(window_s: int) -> float:
    return 2.0 * window_s


def _told(records: Records, peak: float, window_s: int) -> dict[str, float]:
    began_s = float(records.due_s.min())
    from_s, until_s = began_s + _NORMAL_S, began_s + _NORMAL_S + _overload_s(window_s)
    overload = records.between(from_s, until_s)
    good = overload.of(Outcome.RIGHT).within(IN_TIME_S)
    # What is answered after the load has dropped does not count for the time before.
    good_rps = int((good.due_s + good.latency_s < until_s).sum()) / _overload_s(window_s)
    refused = overload.of(Outcome.REFUSED)
    # Neither answered right and in time nor refused.
    failed = len(overload) - len(good) - len(refused)
    normal = records.between(began_s, from_s).of(Outcome.RIGHT)
    if not len(normal):
        raise BenchError(f"nothing was answered right at {NORMAL:g} times the peak: {records.counts()}")
    normal_ms = normal.latency_ms(99)
    return {
        "peak_rps": peak,
        "offered_rps": len(overload) / _overload_s(window_s),
        "good_rps": good_rps,
        "good_share": good_rps / peak,
        **_latencies("good", good),
        "refused_rps": len(refused) / _overload_s(window_s),
        **_latencies("refused", refused),
        **{f"{outcome}_requests": count for outcome, count in overload.counts().items()},
        "failed": failed,
        "failed_share": failed / len(overload),
        "normal_p99_ms": normal_ms,
        "recovery_s": recovery_s(records, until_s, normal_ms),
    }


def _latencies(name: str, records: Records) -> dict[str, float]:
    """Return p50 and p99, where there are any records."""
    return {f"{name}_p{percent}_ms": records.latency_ms(percent) for percent in (50, 99)} if len(records) else {}


def _timeline(records: Records) -> list[dict[str, float]]:
    """Return rates in pieces of time: of the requests that were due, and of those that were answered in time or refused."""
    began_s, answered = float(records.due_s.min()), records.finished()
    good = answered.of(Outcome.RIGHT).within(IN_TIME_S)
    told = []
    for at_s in np.arange(began_s, float(records.due_s.max()), _BIN_S):
        series = {"due": records, "in_time": good, "refused": answered.of(Outcome.REFUSED)}
        rates = {name: round(len(one.between(at_s, at_s + _BIN_S)) / _BIN_S, 1) for name, one in series.items()}
        told.append({"at_s": round(float(at_s) - began_s, 3), **rates})
    return told


def recovery_s(records: Records, dropped_s: float, normal_ms: float) -> float:
    """Return the seconds from the drop of the load to its recovery: the first normal second, and no request that fails later.

    Without such a second it is as long as the records go on.
    """
    limit_ms = max(_BACK * normal_ms, normal_ms + _BACK_MS)
    starts_s = np.arange(dropped_s, float(records.due_s.max()), _BIN_S)
    pieces = [records.between(at_s, at_s + _BIN_S) for at_s in starts_s]
    is_right = [len(piece.of(Outcome.RIGHT)) == len(piece) for piece in pieces]
    is_quick = [not len(piece) or piece.latency_ms(99) <= limit_ms for piece in pieces]
    in_a_row = round(_STEADY_S / _BIN_S)
    steady = (first for first in range(len(pieces) - in_a_row + 1) if all(is_quick[first : first + in_a_row]))
    until_right = max((number + 1 for number, right in enumerate(is_right) if not right), default=0)
    return max(next(steady, len(pieces)), until_right) * _BIN_S
