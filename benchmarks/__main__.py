"""``python -m benchmarks``: measures, and writes the results as JSON, Markdown and plots.

Exit codes: 0 done, 1 when something could not be measured or an answer was wrong, 2 for a wrong command line.
"""

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from benchmarks import environments, progress
from benchmarks.bench import Bench
from benchmarks.building import SCRATCH, build
from benchmarks.console.live import measure_consoles
from benchmarks.errors import BenchError
from benchmarks.groups import cache, growth, guarded, image, overload, peers, proofs, rows, start, swap, traces, workers
from benchmarks.instructions import count
from benchmarks.load import wrk
from benchmarks.reporting import comparison, machine, readme, report, results
from benchmarks.rollouts.commands import commands as rollouts
from benchmarks.rounds import Plan
from benchmarks.scaling.commands import commands as scaling

GROUPS: Final[dict[str, Callable[[Bench], dict[str, Any]]]] = {
    "rows": rows.run,
    "image": image.run,
    "growth": growth.run,
    "swap": swap.run,
    "start": start.run,
    "cache": cache.run,
    "proofs": proofs.run,
    "guarded": guarded.run,
    "traces": traces.run,
    "overload": overload.run,
    "workers": workers.run,
}


_KEEP: Final = click.option("--keep", is_flag=True, help="Also keep the results in the repository: benchmarks/results, README.")


@dataclass(frozen=True)
class Options:
    """What the command line says about every run."""

    window_s: int
    warmup_s: int
    rounds: int
    folder: Path
    scratch: Path
    keep: bool


def _options(command: Callable[..., None]) -> Callable[..., None]:
    folder = click.Path(path_type=Path)
    for option in (
        click.option("--window-s", default=2, show_default=True, type=click.IntRange(1, 600), help="Seconds of each window."),
        click.option("--warmup-s", default=1, show_default=True, type=click.IntRange(0, 600), help="Seconds of load before."),
        click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100), help="Windows of each case."),
        click.option("--folder", default=results.LATEST, type=folder, help="Where the results go."),
        click.option("--scratch", default=SCRATCH, type=folder, help="Models, environments and logs."),
        _KEEP,
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Measure the gateway. One run, one machine, all contenders in turn; see benchmarks/README.md."""


@cli.command("run")
@click.option("--only", multiple=True, type=click.Choice(list(GROUPS)), help="Only this group (may be given again).")
@_options
def run_groups(only: tuple[str, ...], **given: Any) -> None:
    """Measure the gateway against the baselines."""
    _measure({name: GROUPS[name] for name in only or GROUPS}, results.BENCH, Options(**given))


@cli.command("peers")
@click.option("--only", multiple=True, type=click.Choice(environments.names()), help="Only this peer (may be given again).")
@_options
def run_peers(only: tuple[str, ...], **given: Any) -> None:
    """Measure the gateway against other servers, each installed in an environment of its own."""
    _measure({"peers": partial(peers.run, names=only)}, results.PEERS, Options(**given))


@cli.command("instructions")
@click.option("--folder", default=results.LATEST, type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--scratch", default=SCRATCH, type=click.Path(path_type=Path), help="The files of callgrind, and logs.")
@_KEEP
def count_instructions(folder: Path, scratch: Path, keep: bool) -> None:
    """Count the instructions of a request, beside those that are kept."""
    results.check_writable(folder)
    about, counted = machine.describe(), count.run(scratch.resolve())
    results.write(folder / results.INSTRUCTIONS, about, {}, {"instructions": counted})
    kept = results.read(results.KEPT)
    click.echo(comparison.told(counted["requests"], kept.groups.get("instructions", {}).get("requests", {})))
    for difference in comparison.differences(about, kept.machines.get(results.INSTRUCTIONS, about)):
        click.echo(f"note: the kept counts are of another {difference}")
    if keep:
        results.keep(folder)
        readme.write(_write_report(results.KEPT))


@cli.command("report")
@click.option("--folder", default=results.LATEST, type=click.Path(path_type=Path), help="Where the results are.")
@_KEEP
def write_report(folder: Path, keep: bool) -> None:
    """Make Markdown and plots from results that are there."""
    _report(folder, keep)


cli.add_command(rollouts)
cli.add_command(scaling)
cli.add_command(measure_consoles)


def _measure(groups: dict[str, Callable[[Bench], dict[str, Any]]], file: str, options: Options) -> None:
    wrk.find()
    results.check_writable(options.folder)
    _raise_file_limit()
    about = machine.describe()
    scratch = options.scratch.resolve()
    with progress.shown() as shown:
        if machine.is_busy(about):
            shown.note(f"the machine is busy (load average {about['load_average'][0]}): expect worse figures, and noise")
        models_dir = build("benchmarks.saved_models", scratch / "models", shown)
        bench = Bench(Plan(options.window_s, options.warmup_s, options.rounds, scratch), models_dir, shown)
        measured = {name: group(bench) for name, group in groups.items()}
    told = {"window_s": options.window_s, "warmup_s": options.warmup_s, "rounds": options.rounds}
    results.write(options.folder / file, about, told, measured)
    _report(options.folder, options.keep)


def _raise_file_limit() -> None:
    """An open loop has a connection for each request under way, and the servers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _report(folder: Path, keep: bool) -> None:
    told = _write_report(folder)
    if keep:
        results.keep(folder)
        readme.write(_write_report(results.KEPT))
    click.echo(report.bars(told.groups))
    click.echo(f"the whole: {folder / 'results.md'}")


def _write_report(folder: Path) -> results.Results:
    told = results.read(folder)
    (folder / "results.md").write_text(report.full(told.groups, told.machines), encoding="utf-8")
    _plot(told, folder)
    return told


def _plot(told: results.Results, folder: Path) -> None:
    """matplotlib is in the lock of the benchmarks only: the figures can be had without it."""
    try:
        from benchmarks.reporting import plots  # noqa: PLC0415
    except ModuleNotFoundError as error:
        click.echo(f"no plots: {error.name} is not installed (make bench installs it)", err=True)
        return
    plots.write(told.groups, folder)


def main() -> int:
    """Run a command; the exit code."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BenchError as error:
        click.echo(f"benchmarks: {error}", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("benchmarks: interrupted; nothing was written", err=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
