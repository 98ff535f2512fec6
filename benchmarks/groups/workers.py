"""The gateway with one worker and two, and its Flask application under gunicorn's own worker, before one model server."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.baselines import contenders
from benchmarks.bench import Bench
from benchmarks.contender import Contender, Program
from benchmarks.programs.processes import free_port, running, running_contender
from benchmarks.rounds import Case, measure

CLIENTS: Final = 32
_WORKERS: Final = (1, 2)
_GTHREAD: Final = ("--worker-class=gthread", "--threads=32", "gateway.app:create_app()")


def run(bench: Bench) -> dict[str, Any]:
    """A point for each way to run the application."""
    asked = workload.dense(bench.models_dir)
    config = bench.plan.scratch / "workers.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    serving_port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(running(ours.model_server(config, serving_port, "workers model server"), bench.logs_dir))
        everybody = [
            stack.enter_context(running_contender(one, bench.logs_dir, (server,)))
            for one in _contenders(config, serving_port, asked.model)
        ]
        everybody += [
            stack.enter_context(running_contender(contenders.empty(free_port(), n), bench.logs_dir)) for n in _WORKERS
        ]
        cases = [Case(one, asked, CLIENTS, label={"clients": CLIENTS}) for one in everybody]
        bench.progress.begin("workers", len(cases) * bench.plan.rounds)
        points = measure(cases, bench.plan, bench.progress)
    bench.progress.end()
    return {"points": [point.as_json() for point in points]}


def _contenders(config: Path, serving_port: int, model: str) -> Iterator[Contender]:
    for workers in _WORKERS:
        many = f"{workers} worker{'s' * (workers > 1)}"
        port, name = free_port(), f"the gateway, {many}"
        ours_settings = {"GATEWAY_WORKERS": str(workers)}
        yield Contender(name, port, ours.gateway(port, config, serving_port, name, ours_settings), ours.encodings(model))
        port, name = free_port(), f"its Flask application under gthread, {many}"
        environment = ours.gateway(port, config, serving_port, name, {}).environment
        argv = (sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", f"--workers={workers}", *_GTHREAD)
        front = Program(name, argv, f"http://127.0.0.1:{port}/readyz", environment)
        yield Contender(name, port, front, ours.encodings(model))
