"""``python -m gateway log drift``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.prediction_log.commands import print_table
from gateway.prediction_log.offline.commands.failing import one_line
from gateway.prediction_log.offline.drift.drift import ColumnDrift, column_drift, judge
from gateway.prediction_log.offline.drift.table import DriftTable, read_table
from gateway.prediction_log.offline.drift.textfile import write_textfile
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.options import FiniteRange

_DRIFTED = 3
_HEAD = ("COLUMN", "ROWS", "PSI", "P", "TEST", "STATISTIC", "P", "NAN", "P", "OUT OF RANGE", "VERDICT")


@click.command()
@click.option("--reference", required=True, type=click.Path(path_type=Path), help="What was normal, such as a good week.")
@click.option("--current", required=True, type=click.Path(path_type=Path), help="What is asked about.")
@click.option("--alpha", type=FiniteRange(0, 0.5, min_open=True), default=0.05, show_default=True, help="Rate of false alarms.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--push-textfile",
    "textfile",
    type=click.Path(path_type=Path),
    help="Also write PSI and its p-values as metrics, for the node exporter's textfile collector (*.prom).",
)
@click.pass_context
def drift(
    context: click.Context, /, *, reference: Path, current: Path, alpha: float, as_json: bool, textfile: Path | None
) -> None:
    """Compare the distributions of inputs and outputs in two exports (parquet or jsonl, --per instance).

    The exit code is 3 if a column has drifted, 0 if none has, and 1 if no column has enough rows for a verdict.
    """
    with one_line():
        one, other = read_table(reference), read_table(current)
        columns = [column_drift(name, one.column(name), other.column(name)) for name in one.names if name in other.names]
        tests = judge(columns, alpha)
        alone = [*_alone(one, other, "reference"), *_alone(other, one, "current")]
        if as_json:
            click.echo(orjson.dumps(_document(columns, alone, tests, alpha), option=orjson.OPT_INDENT_2).decode())
        else:
            _print(columns, alone, tests, alpha)
        if textfile is not None:
            write_textfile(textfile, other.model, columns)
        if not tests:
            raise ExportFailure(
                "no verdict: " + (columns[0].why or "all values are equal" if columns else "no column is in both")
            )
    context.exit(_DRIFTED if any(column.drifted for column in columns) else 0)


def _alone(one: DriftTable, other: DriftTable, where: str) -> list[str]:
    return [f"{name}: only in {where}" for name in one.names if name not in other.names]


def _print(columns: list[ColumnDrift], alone: list[str], tests: int, alpha: float) -> None:
    print_table([_HEAD, *map(_line, columns)])
    for line in alone:
        click.echo(line)
    drifted = [column.name for column in columns if column.drifted]
    level = f"{tests} tests, each at {alpha:g} / {tests}" if tests else "no tests"
    click.echo(f"{level}: " + (f"drift in {', '.join(drifted)}" if drifted else "no drift"))


def _line(column: ColumnDrift) -> tuple[str, ...]:
    test = "ks" if "ks" in column.tests else "chi_square" if "chi_square" in column.tests else "-"
    return (
        column.name,
        f"{column.reference_rows}/{column.current_rows}",
        *_cells(column, "psi"),
        test,
        *_cells(column, test),
        f"{column.reference_nan:.1%}/{column.current_nan:.1%}",
        _cells(column, "nan")[1],
        f"{column.out_of_range:.1%}",
        f"drift ({', '.join(column.drifted)})" if column.drifted else column.why or "no drift",
    )


def _cells(column: ColumnDrift, test: str) -> tuple[str, str]:
    result = column.tests.get(test)
    if result is None:
        return "-", "-"
    return f"{result.statistic:.3g}", "-" if result.p is None else f"{result.p:.2g}"


def _document(columns: list[ColumnDrift], alone: list[str], tests: int, alpha: float) -> dict[str, Any]:
    documents = [
        asdict(column) | {"tests": {name: result._asdict() for name, result in column.tests.items()}} for column in columns
    ]
    return {
        "alpha": alpha,
        "tests": tests,
        "drift": any(column.drifted for column in columns),
        "columns": documents,
        "only_on_one_side": alone,
    }
