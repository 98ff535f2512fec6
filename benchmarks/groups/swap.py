"""A new version is published while requests come in at a steady rate: what the clients see before, during and after.

Every answer must be right for the version that it names. Each round is a swap, to the other of two sets of weights.
"""

import shutil
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.errors import BenchError
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.open_loop import Running as Load
from benchmarks.load.records import Outcome, Records
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.workload import Workload

# The load: this part of what the gateway carries with the same client.
LOAD: Final = 0.3
_CLIENTS: Final = 32
_TIMEOUT_S: Final = 5.0
# Swapping ends when this much has passed without a request that the old version answered.
_SETTLED_S: Final = 1.0
_BIN_S: Final = 0.2


def run(bench: Bench) -> dict[str, Any]:
    """The rate, and for each swap p99 before, during and after, how long it took, and how many requests failed in any way."""
    before_s = max(2, bench.plan.window_s)
    sources = (workload.dense(bench.models_dir), workload.dense(bench.models_dir, workload.OTHER))
    folder = bench.plan.scratch / "swap" / workload.DENSE
    shutil.rmtree(folder, ignore_errors=True)
    _publish(sources[0], folder / "1")
    config = bench.plan.scratch / "swap.config"
    ours.write_config(config, {workload.DENSE: folder})
    by_version = {version: sources[(version - 1) % 2] for version in range(1, bench.plan.rounds + 2)}
    with running_contender(ours.stack(free_port(), config, workload.DENSE), bench.logs_dir) as us:
        load = OpenLoop(us.contender, by_version, bench.plan.scratch / "swap-load", connections=2000)
        bench.progress.begin("version swap", bench.plan.rounds + 1)
        bench.progress.step("the rate to swap at")
        rate = LOAD * len(load.closed(_CLIENTS, bench.plan.window_s)) / bench.plan.window_s
        swaps = []
        for version in range(2, bench.plan.rounds + 2):
            bench.progress.step(f"to version {version} at {rate:.0f} requests/s")
            running = load.start([(rate, 3 * before_s + 4)], _TIMEOUT_S)
            swapped_s, records = _swap(running, by_version[version], folder / str(version), before_s)
            swaps.append(_told(records, swapped_s, version))
    bench.progress.end()
    last = {"swapped_at_s": swapped_s - float(records.due_s.min()), "timeline": records.timeline(_BIN_S)}
    middle = {name: median(swap[name] for swap in swaps) for name in swaps[0]}
    failures = sum(int(swap["failures"]) for swap in swaps)
    return {"rate": rate, "median": middle, "failures": failures, "swaps": swaps, "last": last}


def _swap(load: Load, source: Workload, version: Path, before_s: float) -> tuple[float, Records]:
    """Publish a while after the load has begun; return when that was, and what became of every request."""
    try:
        time.sleep(before_s)
        swapped_s = time.monotonic()
        _publish(source, version)
        return swapped_s, load.wait()
    finally:
        load.end()


def _publish(source: Workload, version: Path) -> None:
    """Publish as `model_export publish` does: copy under another name, then rename."""
    building = version.with_name(f"temp-{version.name}")
    shutil.copytree(source.saved_model, building)
    building.rename(version)


def _told(records: Records, swapped_s: float, version: int) -> dict[str, float]:
    old = records.due_s[(records.version > 0) & (records.version < version)]
    ended_s = float(old.max()) if len(old) else swapped_s
    right = records.of(Outcome.RIGHT)
    until_s = max(swapped_s, ended_s) + _SETTLED_S
    times = (0.0, swapped_s, until_s, float("inf"))
    before, during, after = (right.between(start, end) for start, end in pairwise(times))
    if not (len(before) and len(during) and len(after)):
        told = sorted({int(one) for one in records.version})
        raise BenchError(f"version {version} was not served in time; the answers were of versions {told}")
    return {
        "p99_before_ms": before.latency_ms(99),
        "p99_during_ms": during.latency_ms(99),
        "p99_after_ms": after.latency_ms(99),
        "max_during_ms": during.latency_ms(100),
        "until_new_version_s": ended_s - swapped_s,
        "requests": len(records),
        "answered_by_new": int((records.version == version).sum()),
        "failures": len(records) - len(right),
    }
