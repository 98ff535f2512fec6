"""``python -m benchmarks rollouts live``: rollouts of real versions in running programs, under a steady load.

In each round every canary has its rollout, with a window before it; each has a model of its own, which nothing has happened to.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from benchmarks import progress
from benchmarks.building import SCRATCH, build
from benchmarks.programs.processes import log_of
from benchmarks.progress import Progress
from benchmarks.reporting import machine
from benchmarks.rollouts import cases, orders, told
from benchmarks.rollouts.cases import CASES, Case
from benchmarks.rollouts.figures import Watched, followed, spread_s
from benchmarks.rollouts.orders import Ordered
from benchmarks.rollouts.stack import Stack, running_stack

_GATEWAY: Final = "rollouts gateway"
_ORDERS: Final = "orders"
_NAMES: Final = {case.name: case for case in CASES}


@dataclass(frozen=True)
class Live:
    """How to measure, and where."""

    seconds: int
    rounds: int
    rate: float
    scratch: Path
    versions_dir: Path
    shown: Progress

    @property
    def logs_dir(self) -> Path:
        """The folder of the programs' logs."""
        return self.scratch / "logs"


@click.command("live")
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(1, 3600), help="Of load before a rollout.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100), help="Rollouts of each canary.")
@click.option("--rate", default=200.0, show_default=True, type=click.FloatRange(1, 10_000), help="Requests a second.")
@click.option("--only", multiple=True, type=click.Choice([*_NAMES, _ORDERS]), help="Only this (may be given again).")
@click.option("--scratch", default=SCRATCH, type=click.Path(path_type=Path), help="Models and logs.")
def measure_live(seconds: int, rounds: int, rate: float, only: tuple[str, ...], scratch: Path) -> None:
    """Measure how soon a version is taken back or promoted, and what the callers notice. Some 15 minutes."""
    about, scratch, wanted = machine.describe(), scratch.resolve(), only or (*_NAMES, _ORDERS)
    with progress.shown() as shown:
        if machine.is_busy(about):
            shown.note(f"the machine is busy (load average {about['load_average'][0]}): expect worse figures, and noise")
        versions_dir = build("benchmarks.rollouts.saved_versions", scratch / "rollouts" / "versions", shown)
        live = Live(seconds, rounds, rate, scratch, versions_dir, shown)
        measured = _measure_cases(live, [case for name, case in _NAMES.items() if name in wanted])
        ordered = _measure_orders(live) if _ORDERS in wanted else ([], [])
    click.echo(f"{_title(about, live)}\n\n{_tables(measured, *ordered)}")


def _measure_cases(live: Live, wanted: Sequence[Case]) -> dict[Case, list[Watched]]:
    found: dict[Case, list[Watched]] = {case: [] for case in wanted}
    models = [cases.model_of(case, number) for number in range(live.rounds) for case in wanted]
    if not models:
        return found
    live.shown.begin("rollouts", len(models))
    with _running(live, models, (_GATEWAY,)) as stack:
        for number in range(live.rounds):
            for case in wanted:
                live.shown.step(f"round {number + 1}: {case.name}")
                model = cases.model_of(case, number)
                found[case].append(cases.measure(stack, case, model, live.rate, live.seconds))
                live.shown.note(stack.order("explain", model))
    live.shown.end()
    return found


def _measure_orders(live: Live) -> tuple[list[Ordered], list[float]]:
    """What each round's orders did, and by how much the workers of both gateways differ."""
    models = [orders.model_of(number) for number in range(live.rounds)]
    measured = []
    live.shown.begin("promote and undo at two gateways", len(models))
    with _running(live, models, orders.GATEWAYS, orders.WORKERS) as stack:
        for model in models:
            live.shown.step(model)
            measured.append(orders.measure(stack, model, live.rate))
    live.shown.end()
    # The logs are whole now.
    logs = {one.name: log_of(one, live.logs_dir).read_text(encoding="utf-8").splitlines() for one in stack.gateways}
    events = [event for name, lines in logs.items() for event in followed(name, lines)]
    workers = orders.WORKERS * len(orders.GATEWAYS)
    return measured, [spread_s(events, one.plan, workers) for one in measured]


@contextmanager
def _running(live: Live, models: Sequence[str], gateways: Sequence[str], workers: int | None = None) -> Iterator[Stack]:
    with (
        TemporaryDirectory(dir=live.scratch) as folder,
        running_stack(Path(folder), live.logs_dir, live.versions_dir, models, gateways, workers=workers) as stack,
    ):
        yield stack


def _title(about: Mapping[str, Any], live: Live) -> str:
    load = f"{live.rate:g} requests/s, 10 % to the canary, {live.seconds} s before each rollout, rounds: {live.rounds}"
    return f"{about['cpu']}, {about['cores']} cores, commit {about['commit']}, {about['time']}\n{load}"


def _tables(measured: Mapping[Case, Sequence[Watched]], ordered: Sequence[Ordered], spreads_s: Sequence[float]) -> str:
    parts, bars = [], [bar for case, found in measured.items() for bar in told.case_bars(case, found)]
    if measured:
        parts.append(told.cases_table(measured))
    if ordered:
        parts.append(told.orders_table(ordered, spreads_s))
        bars += told.order_bars(ordered, spreads_s)
    return "\n\n".join([*parts, "\n".join(bar.told for bar in bars)])
