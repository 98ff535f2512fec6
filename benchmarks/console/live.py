"""``python -m benchmarks console``: what ten open consoles cost a gateway under load, and what its recorder takes.

One gateway runs throughout. Each round has a window of load without consoles and one with them, in turns which of them is
first, and each is followed by one without load: there the difference in processor time is that of the consoles alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from benchmarks import ours, progress, workload
from benchmarks.building import SCRATCH, build
from benchmarks.console.consoles import Polled, open_consoles
from benchmarks.contender import ROOT
from benchmarks.errors import BenchError
from benchmarks.load import wrk
from benchmarks.programs.processes import RunningContender, free_port, running_contender
from benchmarks.progress import Progress
from benchmarks.reporting import machine
from benchmarks.rollouts.told import Bar, spread, table
from benchmarks.rounds import Case, Plan, measure

_THROUGHPUT: Final = 0.97
_SHARE: Final = 0.03
_RECORDED: Final = (5, 1000)


@dataclass
class Found:
    """What was measured, round by round.

    ``rps``: requests per second without consoles and with them. ``idle_share``: of a core, what the gateway used without load.
    ``answers``, ``unchanged``: what the consoles got, and how much of it was a 304.
    """

    rps: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    idle_share: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    answers: int = 0
    unchanged: int = 0

    @property
    def ratios(self) -> list[float]:
        """The throughput with consoles ÷ that without, of each round."""
        return [with_them / without for without, with_them in zip(self.rps[False], self.rps[True], strict=True)]

    @property
    def shares(self) -> list[float]:
        """What the consoles took of a core, in each round."""
        return [more - less for less, more in zip(self.idle_share[False], self.idle_share[True], strict=True)]


@click.command("console")
@click.option("--consoles", default=10, show_default=True, type=click.IntRange(1, 100), help="Open at the same time.")
@click.option("--clients", default=64, show_default=True, type=click.IntRange(1, 1024), help="Of the load.")
@click.option("--rounds", default=8, show_default=True, type=click.IntRange(1, 100), help="Pairs of windows.")
@click.option("--window-s", default=10, show_default=True, type=click.IntRange(1, 600), help="Seconds of each window.")
@click.option("--warmup-s", default=1, show_default=True, type=click.IntRange(0, 600), help="Seconds of load before.")
@click.option("--scratch", default=SCRATCH, type=click.Path(path_type=Path), help="Models and logs.")
def measure_consoles(consoles: int, clients: int, scratch: Path, **given: Any) -> None:
    """Measure what open consoles and the recorder of figures cost. Some 10 minutes."""
    wrk.find()
    about = machine.describe()
    plan = Plan(**given, scratch=scratch.resolve())
    with progress.shown() as shown:
        if machine.is_busy(about):
            shown.note(f"the machine is busy (load average {about['load_average'][0]}): expect worse figures, and noise")
        recorded = [_recorder(models) for models in _RECORDED]
        found = _measured(plan, consoles, clients, shown)
    click.echo(f"{about['cpu']}, {about['cores']} cores, commit {about['commit']}, {about['time']}\n")
    click.echo(told(found, recorded, consoles, clients))


def _measured(plan: Plan, consoles: int, clients: int, shown: Progress) -> Found:
    asked = workload.dense(build("benchmarks.saved_models", plan.scratch / "models", shown))
    config = plan.scratch / "console.config"
    ours.write_config(config, {asked.model: asked.saved_model.parent})
    found = Found()
    shown.begin("console", 4 * plan.rounds)
    with running_contender(ours.stack(free_port(), config, asked.model, "console"), plan.scratch / "logs") as gateway:
        for number in range(plan.rounds):
            for has_consoles in (number % 2 == 1, number % 2 == 0):
                count = consoles if has_consoles else 0
                with ExitStack() as stack:
                    polled = stack.enter_context(open_consoles(gateway.contender.port, count))
                    case = Case(gateway, asked, clients, label={"consoles": count})
                    found.rps[has_consoles].append(_rps(case, plan, shown))
                    shown.step(f"round {number + 1}: no load, consoles {count}")
                    found.idle_share[has_consoles].append(_used(gateway, plan.window_s))
                _note(found, polled, count, plan.window_s)
    shown.end()
    return found


def _rps(case: Case, plan: Plan, shown: Progress) -> float:
    [point] = measure([case], replace(plan, rounds=1), shown)
    return point.samples[0].rps


def _used(gateway: RunningContender, seconds: float) -> float:
    """What part of a core the gateway uses."""
    before_s, began_s = gateway.front.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (gateway.front.cpu_s() - before_s) / (time.monotonic() - began_s)


def _note(found: Found, polled: Polled, count: int, window_s: float) -> None:
    """Add what the consoles got. Raises BenchError when they have asked less than they should, and so cost less."""
    if polled.answers < count * window_s:
        raise BenchError(f"{count} consoles got {polled.answers} answers in more than {2 * window_s} s")
    found.answers += polled.answers
    found.unchanged += polled.unchanged


def _recorder(models: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.console.recorder_cost", str(models)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BenchError(f"the recorder could not be measured: {finished.stderr.strip().splitlines()[-1:]}")
    measured: dict[str, float] = json.loads(finished.stdout)
    return measured


def bars(found: Found, consoles: int) -> list[Bar]:
    """What is enough, by the medians."""
    ratio, share = median(found.ratios), median(found.shares)
    return [
        Bar(f"throughput with {consoles} consoles ÷ without, at least {_THROUGHPUT}", f"{ratio:.3f}", ratio >= _THROUGHPUT),
        Bar(f"of a core for {consoles} consoles, at most {_SHARE:.0%}", f"{share:.1%}", share <= _SHARE),
    ]


def told(found: Found, recorded: Sequence[Mapping[str, float]], consoles: int, clients: int) -> str:
    """The medians over the rounds with the least and the most, what the recorder takes, and the bars."""
    rows = [
        [f"requests/s of {clients} clients", spread(found.rps[False], 0), spread(found.rps[True], 0)],
        ["of a core without load, %", *(spread([100 * one for one in found.idle_share[has]]) for has in (False, True))],
        ["with ÷ without, round by round", "", spread(found.ratios, 3)],
        ["answers, of them unchanged", "", f"{found.answers}, {found.unchanged}"],
    ]
    heads = ("recorder", *(f"{one['models']:.0f} models" for one in recorded))
    fields = {"tick_ms": "a tick, ms", "worst_ms": "the worst tick, ms", "first_ms": "the first one, ms", "line_bytes": "bytes"}
    costs = [[name, *(f"{one[field]:.2f}" for one in recorded)] for field, name in fields.items()]
    reached = "\n".join(bar.told for bar in bars(found, consoles))
    return "\n\n".join((table(("", "no console", f"{consoles} consoles"), rows), table(heads, costs), reached))
