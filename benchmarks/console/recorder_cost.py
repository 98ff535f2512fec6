"""What the recorder of figures takes by itself: ``python -m benchmarks.console.recorder_cost MODELS``.

A process of its own, because the metrics must be in files before they are declared. It counts for every version, makes ticks as
the recorder does, and prints the medians as JSON.
"""

import itertools
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

VERSIONS: Final = 3
_TICKS: Final = 60
_SECONDS: Final = 0.004
_BUSY: Final = 64  # versions that have requests between two ticks


def measure(folder: Path, models: int) -> dict[str, Any]:
    """Return the processor time of a tick and of the first one, what a tick takes on disk, and the memory."""
    from gateway.telemetry.shared_values import SharedValues  # noqa: PLC0415

    SharedValues(folder).use()

    from gateway.api.console.recent.counts import NAMES  # noqa: PLC0415
    from gateway.api.console.recent.shared_place import SharedPlace  # noqa: PLC0415
    from gateway.api.console.recent.ticking import Clocks, Ticking  # noqa: PLC0415
    from gateway.inference.status import ModelStatus, VersionStatus  # noqa: PLC0415
    from gateway.telemetry import metrics  # noqa: PLC0415
    from gateway.telemetry.reading.shared import SharedReader  # noqa: PLC0415

    versions = [(f"model{number}", version) for number in range(models) for version in range(VERSIONS)]
    for model, version in versions:
        metrics.begin_signature(model, version, "serving_default")

    def statuses() -> tuple[ModelStatus, ...]:
        states = tuple(VersionStatus(version, "AVAILABLE") for version in range(VERSIONS))
        return tuple(ModelStatus(f"model{number}", states) for number in range(models))

    turns = itertools.cycle(versions)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ticking = Ticking(SharedReader(folder, NAMES), SharedPlace(folder), Clocks())
    first_s, *costs_s = [_cost_s(ticking, statuses(), turns, metrics) for _ in range(_TICKS + 1)]
    lines = sum(path.stat().st_size for path in folder.glob("console_ticks*"))
    return {
        "models": models,
        "first_ms": first_s * 1e3,
        "tick_ms": statistics.median(costs_s) * 1e3,
        "worst_ms": max(costs_s) * 1e3,
        "line_bytes": lines / _TICKS,
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) * 1024 / 1e6,
    }


def _cost_s(ticking: Any, statuses: Any, turns: Iterator[tuple[str, int]], metrics: Any) -> float:
    # Every time others, so that no tick is like the one before.
    for model, version in itertools.islice(turns, _BUSY):
        labels = (model, str(version), "serving_default")
        metrics.REQUESTS.labels(*labels, "200").inc()
        metrics.REQUEST_SECONDS.labels(*labels).observe(_SECONDS)
        metrics.ROWS.labels(*labels).inc()
    began_s = time.thread_time()
    ticking.tick(statuses, {})
    return time.thread_time() - began_s


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        print(json.dumps(measure(Path(scratch), int(sys.argv[1]))))
