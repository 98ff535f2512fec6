"""Starting the gateway before a model server that runs: the time until /readyz says 200, and the memory of a worker then."""

from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.contender import JSON, Contender
from benchmarks.load.exchange import check, draw_inputs
from benchmarks.programs import proc
from benchmarks.programs.proc import Memory
from benchmarks.programs.processes import Running, free_port, running
from benchmarks.workload import Workload

_MODEL_SERVER: Final = "start model server"
# Enough connections that every worker has answered on some.
_CONNECTIONS: Final = 16
_REQUESTS: Final = 25


def run(bench: Bench) -> dict[str, Any]:
    """For each start: start_s; rss_mb and pss_mb of the largest worker; pss_all_mb of all processes of the gateway.

    ``rss_used_mb`` is that of the largest worker after some hundred requests.
    """
    asked = workload.dense(bench.models_dir)
    config = bench.plan.scratch / "start.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    server_port = free_port()
    bench.progress.begin("start", bench.plan.rounds)
    with running(ours.model_server(config, server_port, _MODEL_SERVER), bench.logs_dir):
        # Ready once before it counts: the server has loaded the model, and the files are in the page cache.
        _start(bench, asked, config, server_port)
        starts = []
        for number in range(bench.plan.rounds):
            bench.progress.step(f"start {number + 1}")
            starts.append(_start(bench, asked, config, server_port))
    bench.progress.end()
    return {"median": {name: median(start[name] for start in starts) for name in starts[0]}, "starts": starts}


def _start(bench: Bench, asked: Workload, config: Path, server_port: int) -> dict[str, float]:
    port = free_port()
    program = ours.gateway(port, config, server_port, "start gateway", {})
    with running(program, bench.logs_dir) as gateway:
        fresh, everything = _largest_worker(gateway), proc.memory(gateway.pids())
        contender = Contender(program.name, port, program, ours.encodings(asked.model))
        for _ in range(_CONNECTIONS):
            check(contender, contender.encodings[JSON], asked, draw_inputs(asked, 1, _REQUESTS, seed=4))
        return {
            "start_s": gateway.start_s,
            "rss_mb": fresh.rss_mb,
            "pss_mb": fresh.pss_mb,
            "pss_all_mb": everything.pss_mb,
            "rss_used_mb": _largest_worker(gateway).rss_mb,
        }


def _largest_worker(gateway: Running) -> Memory:
    """Return the memory of the largest process that the gateway's first one has started."""
    workers = [pid for pid in gateway.pids() if pid != gateway.process.pid]
    return max((proc.memory([pid]) for pid in workers), key=lambda memory: memory.rss_mb)
