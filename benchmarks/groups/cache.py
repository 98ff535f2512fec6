"""The prediction cache: the same requests over and over when every answer is kept, when none can be, and without a cache."""

import http.client
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.contender import JSON, Contender
from benchmarks.errors import BenchError
from benchmarks.load.exchange import draw_inputs, send
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rounds import Case, measure
from benchmarks.workload import Workload

CLIENTS: Final = (1, 32)
HIT: Final = "cache hit"
MISS: Final = "cache miss"
OFF: Final = "cache off"
_SETTINGS: Final = {
    HIT: {"GATEWAY_CACHE": f"{workload.DENSE}:10000:3600s"},
    # One entry, while the load takes turns with many requests: it is never the one that is asked for.
    MISS: {"GATEWAY_CACHE": f"{workload.DENSE}:1:3600s"},
    OFF: {"GATEWAY_CACHE": ""},
}


def run(bench: Bench) -> dict[str, Any]:
    """Points for each of the three and number of clients."""
    asked = workload.dense(bench.models_dir)
    config = bench.plan.scratch / "cache.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    told = [ours.stack(free_port(), config, asked.model, name, settings) for name, settings in _SETTINGS.items()]
    with ExitStack() as stack:
        running = [stack.enter_context(running_contender(one, bench.logs_dir)) for one in told]
        _check_hits(told[0], asked)
        cases = [Case(one, asked, clients, label={"clients": clients}) for clients in CLIENTS for one in running]
        bench.progress.begin("cache", len(cases) * bench.plan.rounds)
        points = measure(cases, bench.plan, bench.progress)
    bench.progress.end()
    return {"points": [point.as_json() for point in points]}


def _check_hits(contender: Contender, asked: Workload) -> None:
    """A cache that does not hit would be measured as one that is slow."""
    call = contender.encodings[JSON].ask(draw_inputs(asked, 1, 1, seed=5)[0])
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=10)
    told = []
    for _ in range(2):
        response = send(connection, call)
        response.read()
        told.append(response.headers.get("X-Cache"))
    connection.close()
    if told[-1] != "hit":
        raise BenchError(f"the second of two equal requests was no cache hit: X-Cache said {told}")
