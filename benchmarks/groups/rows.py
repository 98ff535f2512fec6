"""One row of ten floats, from one client and many; beside an empty route, a lone program, the bare gRPC call."""

from contextlib import ExitStack
from statistics import median
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.baselines import contenders
from benchmarks.bench import Bench
from benchmarks.load import grpc_latency
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rounds import Case, measure

CLIENTS: Final = (1, 32, 64, 256)


def run(bench: Bench) -> dict[str, Any]:
    """Points for each contender and number of clients, and the latency of the gRPC call with one client."""
    asked = workload.dense(bench.models_dir)
    told = [
        ours.contender(free_port(), asked.saved_model, bench.plan.scratch),
        contenders.empty(free_port()),
        contenders.in_process(free_port(), bench.models_dir),
    ]
    with ExitStack() as stack:
        running = [stack.enter_context(running_contender(one, bench.logs_dir)) for one in told]
        cases = [Case(one, asked, clients, label={"clients": clients}) for clients in CLIENTS for one in running]
        bench.progress.begin("one row", (len(cases) + 1) * bench.plan.rounds)
        target = told[0].backends[0].ready_url.removeprefix("tcp://")
        calls: list[dict[str, float]] = []

        def call() -> None:
            bench.progress.step("the gRPC call alone")
            calls.append(grpc_latency.measure(target, asked.model, bench.plan.window_s, bench.models_dir))

        points = measure(cases, bench.plan, bench.progress, call)
    bench.progress.end()
    middle = {name: median(one[name] for one in calls) for name in calls[0]}
    return {"points": [point.as_json() for point in points], "grpc": {"median": middle, "samples": calls}}
