"""How cost grows: with the rows of a request, with the models that requests are for, with the clients."""

from itertools import cycle
from typing import Any, Final

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.contender import JSON, Call, Contender, Encoding, Floats
from benchmarks.programs.processes import RunningContender, free_port, running_contender
from benchmarks.rounds import Case, measure
from benchmarks.workload import Workload

ROWS: Final = (1, 8, 64, 256, 1024)
MODELS: Final = (1, 3, 10)
CLIENTS: Final = (1, 2, 8, 32, 128, 512)
ROWS_CLIENTS: Final = 4
MODELS_CLIENTS: Final = 32


def run(bench: Bench) -> dict[str, Any]:
    """Points with the label rows, models or clients."""
    asked = workload.dense(bench.models_dir)
    with running_contender(_contender(bench, asked), bench.logs_dir) as us:
        cases = [*_by_rows(us, asked), *_by_models(us, asked), *_by_clients(us, asked)]
        bench.progress.begin("growth", len(cases) * bench.plan.rounds)
        points = measure(cases, bench.plan, bench.progress)
    bench.progress.end()
    return {"points": [point.as_json() for point in points], "rows_clients": ROWS_CLIENTS, "models_clients": MODELS_CLIENTS}


def _by_rows(us: RunningContender, asked: Workload) -> list[Case]:
    return [Case(us, asked, ROWS_CLIENTS, rows=rows, label={"rows": rows}) for rows in ROWS]


def _by_models(us: RunningContender, asked: Workload) -> list[Case]:
    return [Case(us, asked, MODELS_CLIENTS, encoding=f"{JSON} {count}", label={"models": count}) for count in MODELS]


def _by_clients(us: RunningContender, asked: Workload) -> list[Case]:
    return [Case(us, asked, clients, label={"clients": clients}) for clients in CLIENTS]


def _contender(bench: Bench, asked: Workload) -> Contender:
    """The same SavedModel under ten names, and an encoding for each number of them, whose requests go to one after another."""
    names = [f"{asked.model}_{number}" for number in range(max(MODELS))]
    config = bench.plan.scratch / "growth.config"
    ours.write_config(config, dict.fromkeys(names, asked.saved_model.parent))
    told = ours.stack(free_port(), config, names[0])
    spread = {f"{JSON} {count}": _spread(names[:count]) for count in MODELS}
    return Contender(told.name, told.port, told.front, {**told.encodings, **spread}, told.backends)


def _spread(models: list[str]) -> Encoding:
    asks = cycle([ours.encodings(model)[JSON].ask for model in models])

    def ask(rows: Floats) -> Call:
        return next(asks)(rows)

    return Encoding(ask, ours.read_json)
