"""One row of ten floats, from one client and many: the gateway, and the programs that one would write without it.

Those that need a model server are before the same one: the gateway, FastAPI and plain Flask. The others are an empty route, a
program with the model in its process, and the bare gRPC call.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.baselines import contenders
from benchmarks.bench import Bench
from benchmarks.contender import BINARY
from benchmarks.load import grpc_latency
from benchmarks.programs.processes import RunningContender, free_port, running, running_contender
from benchmarks.rounds import Case, measure

CLIENTS: Final = (1, 32, 64, 256)
# So many for the same row as v2 binary.
BINARY_CLIENTS: Final = 32


def run(bench: Bench) -> dict[str, Any]:
    """Points for each contender and number of clients, and the latency of the gRPC call with one client."""
    asked = workload.dense(bench.models_dir)
    serving_port = free_port()
    with _running(bench, serving_port) as everybody:
        cases = [Case(one, asked, clients, label={"clients": clients}) for clients in CLIENTS for one in everybody]
        label = {"clients": BINARY_CLIENTS, "encoding": BINARY}
        cases.append(Case(everybody[0], asked, BINARY_CLIENTS, encoding=BINARY, label=label))
        bench.progress.begin("one row", (len(cases) + 1) * bench.plan.rounds)
        calls: list[dict[str, float]] = []

        def call() -> None:
            bench.progress.step("the gRPC call alone")
            target = f"127.0.0.1:{serving_port}"
            calls.append(grpc_latency.measure(target, asked.model, bench.plan.window_s, bench.models_dir))

        points = measure(cases, bench.plan, bench.progress, call)
    bench.progress.end()
    middle = {name: median(one[name] for one in calls) for name in calls[0]}
    return {"points": [point.as_json() for point in points], "grpc": {"median": middle, "samples": calls}}


@contextmanager
def _running(bench: Bench, serving_port: int) -> Iterator[list[RunningContender]]:
    """The contenders, the gateway first."""
    config, target = bench.plan.scratch / "rows.config", f"127.0.0.1:{serving_port}"
    ours.write_config(config, {workload.DENSE: bench.models_dir / workload.DENSE})
    before_the_server = [
        ours.front(free_port(), config, serving_port, workload.DENSE),
        contenders.fastapi(free_port(), target, workload.DENSE),
        contenders.plain_flask(free_port(), target, workload.DENSE),
    ]
    alone = [contenders.empty(free_port()), contenders.in_process(free_port(), bench.models_dir)]
    with ExitStack() as stack:
        server = stack.enter_context(running(ours.model_server(config, serving_port, "rows model server"), bench.logs_dir))
        everybody = [stack.enter_context(running_contender(one, bench.logs_dir, (server,))) for one in before_the_server]
        yield everybody + [stack.enter_context(running_contender(one, bench.logs_dir)) for one in alone]
