"""Which worker: the gateway's application under gunicorn's own workers and under ours, before one model server."""

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
_THREADS: Final = (8, 32, 64)
_STOCK: Final = "benchmarks.baselines.stock:create()"


def run(bench: Bench) -> dict[str, Any]:
    """A point for each way to run the application."""
    asked = workload.dense(bench.models_dir)
    config = bench.plan.scratch / "workers.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    serving_port = free_port()
    with ExitStack() as stack:
        stack.enter_context(running(ours.model_server(config, serving_port, "workers model server"), bench.logs_dir))
        told = _contenders(config, serving_port, asked.model)
        cases = [
            Case(stack.enter_context(running_contender(one, bench.logs_dir)), asked, CLIENTS, label={"clients": CLIENTS})
            for one in told
        ]
        bench.progress.begin("workers", len(cases) * bench.plan.rounds)
        points = measure(cases, bench.plan, bench.progress)
    bench.progress.end()
    return {"points": [point.as_json() for point in points]}


def _contenders(config: Path, serving_port: int, model: str) -> Iterator[Contender]:
    for workers in _WORKERS:
        many = f"{workers} worker{'s' * (workers > 1)}"
        for threads in _THREADS:
            flags = ("--worker-class=gthread", f"--workers={workers}", f"--threads={threads}")
            yield _stock(f"gunicorn gthread, {many}, {threads} threads", flags, config, serving_port, model)
        gevent = ("--worker-class=gevent", f"--workers={workers}")
        yield _stock(f"gunicorn gevent, {many}", gevent, config, serving_port, model)
        for worker in ("thread", "loop"):
            settings = {"GATEWAY_WORKER": worker, "GATEWAY_WORKERS": str(workers)}
            port, name = free_port(), f"ours, {worker}, {many}"
            yield Contender(name, port, ours.gateway(port, config, serving_port, name, settings), ours.encodings(model))
    shared = ("--worker-class=gthread", "--workers=2", "--threads=32", "--reuse-port")
    yield _stock("gunicorn gthread, 2 workers, 32 threads, reuse-port", shared, config, serving_port, model)
    for workers in _WORKERS:
        yield contenders.empty(free_port(), workers)


def _stock(name: str, flags: tuple[str, ...], config: Path, serving_port: int, model: str) -> Contender:
    port = free_port()
    metrics_dir = config.parent / "workers" / str(port)
    metrics_dir.mkdir(parents=True, exist_ok=True)
    ours_env = ours.gateway(port, config, serving_port, name, {}).environment
    environment = {**ours_env, "PROMETHEUS_MULTIPROC_DIR": str(metrics_dir), "GRPC_VERBOSITY": "ERROR"}
    argv = (sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", *flags, _STOCK)
    return Contender(name, port, Program(name, argv, f"http://127.0.0.1:{port}/readyz", environment), ours.encodings(model))
