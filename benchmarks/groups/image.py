"""A picture of 150,528 floats from one client: as JSON, base64, npy and v2 binary; and as JSON to plain Flask.

Both are before one model server.
"""

from contextlib import ExitStack
from typing import Any

from benchmarks import ours, workload
from benchmarks.baselines import contenders
from benchmarks.bench import Bench
from benchmarks.contender import B64, BINARY, JSON, NPY
from benchmarks.programs.processes import free_port, running, running_contender
from benchmarks.rounds import Case, measure


def run(bench: Bench) -> dict[str, Any]:
    """Points for each contender and encoding; ``numbers`` is how many there are in a request."""
    asked = workload.image(bench.models_dir)
    config, serving_port = bench.plan.scratch / "image.config", free_port()
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    with ExitStack() as stack:
        server = stack.enter_context(running(ours.model_server(config, serving_port, "image model server"), bench.logs_dir))
        us, plain = (
            stack.enter_context(running_contender(one, bench.logs_dir, (server,)))
            for one in (
                ours.front(free_port(), config, serving_port, asked.model),
                contenders.plain_image(free_port(), f"127.0.0.1:{serving_port}"),
            )
        )
        told = [(us, JSON), (plain, JSON), (us, B64), (us, NPY), (us, BINARY)]
        cases = [Case(one, asked, 1, encoding=encoding, label={"encoding": encoding}) for one, encoding in told]
        bench.progress.begin("image", len(cases) * bench.plan.rounds)
        points = measure(cases, bench.plan, bench.progress)
    bench.progress.end()
    return {"points": [point.as_json() for point in points], "numbers": workload.IMAGE_NUMBERS}
