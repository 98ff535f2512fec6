"""Gateways with something beside a plain one: each is started for its turn in a round and ended after it.

With 32 clients one process joins 7 requests into a call and another one 14, for as long as each runs, and that changes the cost
of a request more than what is measured here. With 256 clients every call is full, and such chance plays no part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from benchmarks import ours, workload
from benchmarks.bench import Bench
from benchmarks.programs.processes import Running, free_port, running
from benchmarks.sample import Point
from benchmarks.workload import Workload

CLIENTS: Final = (32, 256)
ROUNDS: Final = 8
PLAIN: Final = "gateway"


@dataclass(frozen=True)
class Backend:
    """The model server before which all gateways are."""

    config: Path
    port: int
    server: Running


class Named(Protocol):
    """What a gateway has; the plain one's ``name`` is ``PLAIN``."""

    @property
    def name(self) -> str:
        """What the results call it."""


Kind = TypeVar("Kind", bound=Named)

Turn: TypeAlias = Callable[[Kind, Workload, Backend], Sequence[Point]]
"""Starts a gateway, measures a point with one window for each of ``CLIENTS``, and ends it."""


def measure_beside(
    bench: Bench, group: str, kinds: Sequence[Kind], turn: Turn[Kind], figures: Sequence[str], *, least_rounds: int
) -> dict[str, Any]:
    """The points of each kind, and their ``figures`` ÷ those of the plain gateway, round by round."""
    asked = workload.dense(bench.models_dir)
    config, serving_port = bench.plan.scratch / f"{group}.config", free_port()
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    rounds = max(least_rounds, bench.plan.rounds)
    points: dict[tuple[str, int], Point] = {}
    bench.progress.begin(group, len(kinds) * len(CLIENTS) * rounds)
    with running(ours.model_server(config, serving_port, f"{group} model server"), bench.logs_dir) as server:
        backend = Backend(config, serving_port, server)
        for kind in [*kinds] * rounds:
            for point, clients in zip(turn(kind, asked, backend), CLIENTS, strict=True):
                before = points.get((kind.name, clients), replace(point, samples=()))
                points[kind.name, clients] = replace(point, samples=(*before.samples, *point.samples))
    bench.progress.end()
    beside = [(point, points[PLAIN, clients]) for (name, clients), point in points.items() if name != PLAIN]
    return {
        "points": [point.as_json() for point in points.values()],
        "ratios": [{"contender": one.contender, "case": one.case, **ratios(one, plain, figures)} for one, plain in beside],
    }


def ratios(point: Point, plain: Point, figures: Sequence[str]) -> dict[str, list[float]]:
    """These figures of ``point`` ÷ those of ``plain``, round by round."""
    pairs = list(zip(point.samples, plain.samples, strict=True))
    return {figure: [getattr(one, figure) / getattr(other, figure) for one, other in pairs] for figure in figures}
