"""``python -m benchmarks scaling live``: model servers that are added, removed, stopped, killed and slow, under load.

Their model waits and does not compute, so that three servers answer three times as much on a machine of two cores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from benchmarks import progress
from benchmarks.building import SCRATCH, build
from benchmarks.progress import Progress
from benchmarks.reporting import machine
from benchmarks.rollouts.told import Bar, table
from benchmarks.scaling.cases import CASES, LEAST_LOADED, Found, Scene
from benchmarks.scaling.fleet import SLOW, USUAL, Fleet, check_possible
from benchmarks.scaling.waiting_model import WAITS_S

_ROUND_ROBIN: Final = "round_robin"
Measured = Mapping[str, Mapping[str, Found]]
"""By the case and then by the balancing."""


@dataclass(frozen=True)
class Live:
    """What the command line says."""

    clients: int
    seconds: float
    age_s: int
    dns_s: float
    cases: Sequence[str]
    balancings: Sequence[str]


@click.command("live")
@click.option("--clients", default=32, show_default=True, type=click.IntRange(1, 256), help="Each with a request under way.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(1, 600), help="Of load that is measured.")
@click.option("--age-s", default=30, show_default=True, type=click.IntRange(1, 600), help="The age of a server's connections.")
@click.option("--dns-s", default=30.0, show_default=True, type=click.FloatRange(1, 600), help="Of each failure of DNS.")
@click.option("--only", multiple=True, type=click.Choice([*CASES]), help="Only this case (may be given again).")
@click.option("--balancing", multiple=True, type=click.Choice([_ROUND_ROBIN, LEAST_LOADED]), help="Only this one.")
@click.option("--scratch", default=SCRATCH, type=click.Path(path_type=Path), help="Models and logs.")
def measure_live(only: tuple[str, ...], balancing: tuple[str, ...], scratch: Path, **given: Any) -> None:
    """Measure what callers notice when model servers come, go and fail. Some 10 minutes; needs root."""
    check_possible()
    live = Live(**given, cases=only or tuple(CASES), balancings=balancing or (_ROUND_ROBIN, LEAST_LOADED))
    about = machine.describe()
    with progress.shown() as shown:
        if machine.is_busy(about):
            shown.note(f"the machine is busy (load average {about['load_average'][0]}): expect worse figures, and noise")
        measured = _measure(live, scratch.resolve(), shown)
    click.echo(f"{_title(about, live)}\n\n{told(measured, live.balancings)}")


def _measure(live: Live, scratch: Path, shown: Progress) -> Measured:
    models_dir = build("benchmarks.scaling.saved_models", scratch / "scaling" / "models", shown)
    found: dict[str, dict[str, Found]] = {case: {} for case in live.cases}
    shown.begin("scaling", len(live.cases) * len(live.balancings))
    with TemporaryDirectory(dir=scratch) as folder:
        versions = dict.fromkeys(USUAL, models_dir / "usual") | {SLOW: models_dir / "slow"}
        with Fleet(versions, Path(folder), scratch / "logs", live.age_s) as fleet:
            fleet.start(*USUAL, *([SLOW] if "slow" in live.cases else []))
            for balancing in live.balancings:
                fleet.name(*USUAL)
                with fleet.gateway(_settings(live, balancing), f"scaling gateway {balancing}") as front:
                    scene = Scene(fleet, front, balancing, live.clients, live.seconds, live.age_s, live.dns_s)
                    for case in live.cases:
                        shown.step(f"{balancing}: {case}")
                        found[case][balancing] = CASES[case](scene)
                        for bar in found[case][balancing].bars:
                            shown.note(_named(balancing, bar).told)
    shown.end()
    return found


def _settings(live: Live, balancing: str) -> dict[str, str]:
    """No request is joined with another: a batch at a time would keep one server busy and the others idle."""
    return {
        "GATEWAY_BALANCING": balancing,
        "GATEWAY_BATCH_MAX_ROWS": "0",
        "GATEWAY_MODEL_MAX_IN_FLIGHT": str(live.clients),
    }


def _title(about: Mapping[str, Any], live: Live) -> str:
    load = f"{live.clients} clients, a call takes {WAITS_S['usual'] * 1e3:.0f} ms, connections live for {live.age_s} s"
    return f"{about['cpu']}, {about['cores']} cores, commit {about['commit']}, {about['time']}\n{load}"


def told(measured: Measured, balancings: Sequence[str]) -> str:
    """The figures of each case, the balancings beside each other, and then the bars."""
    rows, bars = [], []
    for case, by_balancing in measured.items():
        names = dict.fromkeys(name for found in by_balancing.values() for name in found.figures)
        rows += [[f"{case}: {name}", *(by_balancing[one].figures.get(name, "-") for one in balancings)] for name in names]
        bars += [_named(one, bar) for one in balancings for bar in by_balancing[one].bars]
    return "\n\n".join([table(("", *balancings), rows), "\n".join(bar.told for bar in bars)])


def _named(balancing: str, bar: Bar) -> Bar:
    return Bar(f"{balancing}: {bar.what}", bar.found, bar.is_reached)
