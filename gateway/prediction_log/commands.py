"""``python -m gateway log ...``: what an operator asks of the prediction log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from gateway.prediction_log import retention, tensors
from gateway.prediction_log.documents import json_text, row_document, time_text
from gateway.prediction_log.options import Text, address_option, filter_options, status_option
from gateway.prediction_log.row import KINDS, PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, Sink, SinkAway
from gateway.prediction_log.tensors import Array, Summarised

_MOST_ROWS: Final = 1_000_000
_MOST_CELL: Final = 60
_TAIL: Final = ("TIME", "STATUS", "MODEL", "MS", "INPUTS", "OUTPUTS", "REQUEST")


def _age(context: click.Context, option: click.Parameter, value: str) -> int:
    try:
        return retention.parse_age(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@contextmanager
def opened(address: str | None) -> Iterator[Sink]:
    """The sink at ``address``, closed afterwards. What is wrong with either ends the command with one line."""
    if not address:
        raise click.UsageError("no address: expected GATEWAY_PREDICTION_LOG (or DATABASE_URL) to be set, or --log URL")
    if address == "off":
        raise click.ClickException("the prediction log is off")
    try:
        sink = sink_at(address)
    except ValueError as error:
        raise click.ClickException(f"the prediction log's address: {error}") from None
    try:
        yield sink
    except SinkAway as away:
        raise click.ClickException(f"{sink.name}: {away}") from None
    finally:
        sink.close()


@click.group("log")
@click.option(
    "--log",
    "address",
    envvar=["GATEWAY_PREDICTION_LOG", "DATABASE_URL"],
    show_envvar=True,
    metavar="URL",
    help="The address of the prediction log.",
)
@click.pass_context
def log_commands(context: click.Context, address: str | None) -> None:
    """Look into the prediction log, which may be in use meanwhile."""
    context.obj = address


@log_commands.command()
@click.option("-n", "newest", type=click.IntRange(1, _MOST_ROWS), default=20, show_default=True, help="How many rows.")
@click.option("--request", "request_id", type=Text(), metavar="ID", help="Only the request with this X-Request-Id.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each row, with all columns.")
@status_option
@filter_options
@address_option
@click.pass_obj
def tail(address: str | None, /, newest: int, request_id: str | None, as_json: bool, **where: Any) -> None:
    """Print the newest predictions, the oldest of them first."""
    ids = frozenset([request_id]) if request_id else None
    with opened(address) as sink:
        rows = sink.read(PredictionRow, Filter(newest=newest, request_ids=ids, **where))
        if as_json:
            for row in rows:
                click.echo(json_text(row_document(row)))
        else:
            print_table([_TAIL, *map(_cells, rows)])


@log_commands.command()
@click.option("--older-than", "keep_s", callback=_age, required=True, metavar="AGE", help="Such as 30d, 12h or 90m.")
@address_option
@click.pass_obj
def purge(address: str | None, /, keep_s: int) -> None:
    """Delete the predictions and feedback that are older than an age."""
    before_us = retention.cutoff_us(keep_s)
    total = 0
    with opened(address) as sink:
        while count := sink.purge(before_us):
            total += count
    click.echo(f"{total} rows deleted")


@log_commands.command()
@address_option
@click.pass_obj
def gaps(address: str | None, /) -> None:
    """Print how many rows are there of each run of a worker, and how many were lost between the first and the last."""
    with opened(address) as sink:
        runs = [(kind.TABLE, run.boot, str(run.rows), str(run.missing)) for kind in KINDS for run in sink.runs(kind)]
    print_table([("TABLE", "WORKER", "ROWS", "MISSING"), *runs])


def print_table(lines: list[tuple[str, ...]]) -> None:
    """Print lines of cells in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(row: PredictionRow) -> tuple[str, ...]:
    return (
        time_text(row.ts),
        str(row.status) if row.error is None else f"{row.status} {row.error}",
        row.model if row.version is None else f"{row.model}/{row.version}",
        f"{row.total_us / 1000:.1f}",
        _short(row.inputs),
        _short(row.outputs),
        row.request_id,
    )


def _short(data: bytes | None) -> str:
    if data is None:
        return "-"
    texts = [f"{name}={_words(tensor)}" for name, tensor in tensors.decode(data).items()]
    text = " ".join(texts)
    return text if len(text) <= _MOST_CELL else text[: _MOST_CELL - 1] + "…"


def _words(tensor: Array | Summarised) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}" if isinstance(tensor, Summarised) else json_text(tensor)
