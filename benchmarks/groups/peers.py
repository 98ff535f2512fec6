"""The same rows and the same picture through the servers that others use, each with the same SavedModel and its own batching.

Each is started for its turn in a round and ended after it: some of them are busy without a request, and all need memory.
A peer that does not start, or answers wrongly, is left out from there on, and the result says why.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import environments, ours, workload
from benchmarks.bench import Bench
from benchmarks.contender import JSON, Contender
from benchmarks.errors import BenchError
from benchmarks.programs.processes import free_port, running_contender
from benchmarks.rounds import Case, measure
from benchmarks.sample import Point
from benchmarks.workload import Workload

CLIENTS: Final = (1, 32, 64, 256)
IMAGE_CLIENTS: Final = 1

Make = Callable[[int, Path], Contender]


@dataclass(frozen=True)
class Entrant:
    """A contender that takes part; ``make(port, saved_model)`` says how it is started."""

    key: str
    make: Make


def run(bench: Bench, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Points for rows and for the picture, of ours and of these peers (or all), by the names of their modules; failures."""
    failures: dict[str, str] = {}
    entrants = [Entrant(ours.NAME, lambda port, model: ours.contender(port, model, bench.plan.scratch))]
    entrants += _installed(bench, names, failures)
    rows = turns(bench, entrants, workload.dense(bench.models_dir), CLIENTS, failures)
    image = turns(bench, entrants, workload.image(bench.models_dir), (IMAGE_CLIENTS,), failures)
    return {"rows": rows, "image": image, "numbers": workload.IMAGE_NUMBERS, "failures": failures}


def _installed(bench: Bench, names: tuple[str, ...], failures: dict[str, str]) -> list[Entrant]:
    chosen = environments.peers(names)
    bench.progress.begin("environments", len(chosen))
    entrants = []
    for peer in chosen:
        bench.progress.step(f"{peer.name} (minutes, the first time)")
        try:
            env_dir = environments.install(peer, bench.plan.scratch / "peers", bench.logs_dir / f"install-{peer.name}.log")
        except BenchError as error:
            failures[peer.name] = str(error)
            bench.progress.note(f"{peer.name} is left out: {error}")
            continue
        entrants.append(Entrant(peer.name, _maker(peer, env_dir)))
    bench.progress.end()
    return entrants


def _maker(peer: environments.Peer, env_dir: Path) -> Make:
    return lambda port, model: peer.contender(port, model, env_dir)


def turns(
    bench: Bench, entrants: list[Entrant], asked: Workload, clients: tuple[int, ...], failures: dict[str, str]
) -> list[dict[str, Any]]:
    """Points of every entrant that is not in ``failures``; one that fails is put there, with the reason."""
    bench.progress.begin(f"peers: {asked.model}", len(entrants) * len(clients) * bench.plan.rounds)
    found: dict[tuple[str, int], Point] = {}
    for _ in range(bench.plan.rounds):
        for entrant in entrants:
            if entrant.key not in failures:
                for point in _turn(bench, entrant, asked, clients, failures):
                    key = (entrant.key, point.case["clients"])
                    found[key] = replace(point, samples=(*found[key].samples, *point.samples)) if key in found else point
    bench.progress.end()
    # Those of the rounds before a failure are no result.
    return [point.as_json() for (name, _), point in found.items() if name not in failures]


def _turn(bench: Bench, entrant: Entrant, asked: Workload, clients: tuple[int, ...], failures: dict[str, str]) -> list[Point]:
    try:
        with running_contender(entrant.make(free_port(), asked.saved_model), bench.logs_dir) as running:
            cases = [Case(running, asked, count, encoding=JSON, label={"clients": count}) for count in clients]
            points = measure(cases, replace(bench.plan, rounds=1), bench.progress)
    except BenchError as error:
        # Of ourselves it would be no result at all.
        if entrant.key == ours.NAME:
            raise
        failures[entrant.key] = f"{asked.model}: {error}"
        bench.progress.note(f"{entrant.key} is left out: {error}")
        return []
    return [replace(point, contender=entrant.key) for point in points]
