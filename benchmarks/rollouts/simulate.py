"""``python -m benchmarks rollouts simulate``: false and right rollbacks of our rule and of thresholds, on the same traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click
import numpy as np

from benchmarks.rollouts.rules import NEVER, RULES
from benchmarks.rollouts.traffic import Truth, drawn

EQUAL: Final = (Truth(0.01, 20), Truth(0.01, 200), Truth(0.005, 20), Truth(0.005, 200))
WORSE: Final = tuple(Truth(0.01, 200, ratio) for ratio in (3.0, 5.0, 10.0))


@dataclass(frozen=True)
class Outcome:
    """What one rule did: ``share`` of the rollouts it took back, after a median of ``requests`` (None: it took none back)."""

    share: float
    requests: int | None

    @property
    def told(self) -> str:
        """As it is shown."""
        return f"{self.share:.1%}" + (f" after {self.requests:,}" if self.requests is not None else "")


def outcomes(truth: Truth, rollouts: int, looks: int, seed: int) -> dict[str, Outcome]:
    """The outcome of each rule on the same traffic. Requests are those of all arms."""
    traffic = drawn(truth, rollouts, looks, seed)
    return {name: _outcome(rule(traffic), truth) for name, rule in RULES.items()}


def _outcome(at: np.ndarray, truth: Truth) -> Outcome:
    taken = at[at != NEVER]
    requests = int(np.median(taken + 1)) * (truth.canary_requests + truth.others) if len(taken) else None
    return Outcome(len(taken) / len(at), requests)


@click.command("simulate")
@click.option("--rollouts", default=300, show_default=True, type=click.IntRange(1, 100_000), help="How many of each kind.")
@click.option("--looks", default=60, show_default=True, type=click.IntRange(1, 10_000), help="Looks at each, one in 10 s.")
@click.option("--seed", default=13, show_default=True, help="The same seed draws the same traffic.")
def simulate(rollouts: int, looks: int, seed: int) -> None:
    """Print how often each rule takes back a version that is equal, and one that is worse. Nothing is started."""
    click.echo(f"{rollouts} rollouts of each kind, {looks} looks at each, 10 % of the requests to the canary, seed {seed}\n")
    click.echo("Taken back although both versions are equal (false rollbacks), by error rate and canary requests a look")
    told = [f"{truth.error_rate:.1%}, {truth.canary_requests} a look" for truth in EQUAL]
    _print_table(told, [{name: f"{one.share:.1%}" for name, one in _all(truth, rollouts, looks, seed)} for truth in EQUAL])
    click.echo(
        "\nTaken back because the canary fails more often than stable's 1 %, and after how many requests of all arms (median)"
    )
    told = [f"{truth.ratio:g} times" for truth in WORSE]
    _print_table(told, [{name: one.told for name, one in _all(truth, rollouts, looks, seed)} for truth in WORSE])


def _all(truth: Truth, rollouts: int, looks: int, seed: int) -> list[tuple[str, Outcome]]:
    return list(outcomes(truth, rollouts, looks, seed).items())


def _print_table(heads: Sequence[str], columns: Sequence[dict[str, str]]) -> None:
    first = max(map(len, RULES))
    widths = [max(map(len, (head, *column.values()))) for head, column in zip(heads, columns, strict=True)]
    click.echo("  ".join(["".ljust(first), *(head.rjust(width) for head, width in zip(heads, widths, strict=True))]))
    for name in RULES:
        cells = (column[name].rjust(width) for column, width in zip(columns, widths, strict=True))
        click.echo("  ".join([name.ljust(first), *cells]))
