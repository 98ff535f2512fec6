"""What proofs of batches cost: the gateway with its defaults beside one that joins without proof and samples nothing.

Both serve a model whose rows are independent, one window after the other, in at least twenty pairs. The proofs themselves are
over before the first window; what is left is to know that they are there, and the samples.
"""

from contextlib import ExitStack
from dataclasses import replace
from statistics import median, quantiles
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rounds import Case, measure

CLIENTS: Final = 32
PAIRS: Final = 20
PROVEN: Final = "with proofs and samples"
UNPROVEN: Final = "GATEWAY_BATCH_PROOFS=0"
_SETTINGS: Final = {
    PROVEN: {"GATEWAY_BATCH_PROOFS": "8", "GATEWAY_BATCH_SAMPLE_EVERY": "1000"},
    UNPROVEN: {"GATEWAY_BATCH_PROOFS": "0", "GATEWAY_BATCH_SAMPLE_EVERY": "0"},
}


def run(bench: Bench) -> dict[str, Any]:
    """Points for both, and the ratios of their processor time for each request, pair by pair."""
    asked = workload.dense(bench.models_dir)
    config = bench.plan.scratch / "proofs.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    plan = replace(bench.plan, rounds=max(PAIRS, bench.plan.rounds))
    told = [ours.stack(free_port(), config, asked.model, name, settings) for name, settings in _SETTINGS.items()]
    with ExitStack() as stack:
        running = [stack.enter_context(running_contender(one, bench.logs_dir)) for one in told]
        cases = [Case(one, asked, CLIENTS, label={"clients": CLIENTS}) for one in running]
        bench.progress.begin("proofs", len(cases) * plan.rounds)
        points = measure(cases, plan, bench.progress)
    bench.progress.end()
    pairs = zip(*(point.samples for point in points), strict=True)
    ratios = [proven.front_cpu_us / unproven.front_cpu_us for proven, unproven in pairs]
    return {"points": [point.as_json() for point in points], "median": _spread(ratios), "ratios": ratios}


def _spread(ratios: list[float]) -> dict[str, float]:
    lower, _, upper = quantiles(ratios, n=4)
    return {
        "processor time with proofs ÷ without, median of the pairs": median(ratios),
        "lower quartile": lower,
        "upper quartile": upper,
        "smallest": min(ratios),
        "largest": max(ratios),
    }
