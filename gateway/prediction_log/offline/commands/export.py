"""``python -m gateway log export``."""

from pathlib import Path
from typing import Any

import click

from gateway.prediction_log.commands import opened
from gateway.prediction_log.offline.commands.failing import one_line
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.output_file import written
from gateway.prediction_log.offline.progress import shown
from gateway.prediction_log.offline.tables import files
from gateway.prediction_log.offline.tables.labels import with_labels
from gateway.prediction_log.options import address_option, filter_options
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.sink import Filter, Sink

_MOST_WARMUP_RECORDS = 1000
_SUFFIXES = {".parquet": "parquet", ".jsonl": "jsonl", ".csv": "csv"}


def _output(context: click.Context, option: click.Parameter, value: str) -> Path:
    if not value:
        raise click.BadParameter("expected the path of a file, or - for the standard output, got ''")
    return Path(value)


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice([*_SUFFIXES.values(), "predictionlog"]),
    help="[default: by the suffix of the file: .parquet, .jsonl or .csv]",
)
@click.option("--per", type=click.Choice(["instance", "request"]), help="What a row of the table is.  [default: instance]")
@click.option("--limit", type=click.IntRange(1), help="At most so many rows or records, the oldest of them.")
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    callback=_output,
    help="The file, which is replaced if it exists; - is the standard output.",
)
@filter_options
@address_option
@click.pass_obj
def export(address: str | None, /, form: str | None, per: str | None, limit: int | None, output: Path, **where: Any) -> None:
    """Write predictions and their labels to a file.

    A file of format predictionlog is what TensorFlow Serving logs and warms up with: `model_export publish --sample FILE` and
    `log replay FILE` take it. The others are tables; parquet needs the extra `export`.
    """
    form = _format(form, output)
    if form == "predictionlog" and per is not None:
        raise click.UsageError("--per is for tables: a predictionlog has a record for each request")
    with one_line(), opened(address) as sink:
        if form == "predictionlog":
            _export_records(sink, Filter(**where), output, limit)
        else:
            _export_table(sink, Filter(**where), output, form=form, per=per or "instance", limit=limit)


def _format(given: str | None, output: Path) -> str:
    named = _SUFFIXES.get(output.suffix.lower())
    form = given or named
    if form is None:
        raise click.UsageError(f"{output}: expected a name that ends in {', '.join(_SUFFIXES)}, or --format")
    if named not in (None, form):
        raise click.UsageError(f"{output}: --format {form} is another one than that of the suffix")
    return form


def _export_table(sink: Sink, where: Filter, output: Path, *, form: Any, per: str, limit: int | None) -> None:
    files.check_format(form)
    write = files.write_instances if per == "instance" else files.write_requests
    with written(output) as part:
        count, left_out = write(part, form, with_labels(sink, sink.read(PredictionRow, where)), limit)
    click.echo(f"{output}: {count} rows", err=True)
    if left_out:
        click.echo(f"left out: {left_out} requests without instances, such as refused ones; --per request has them", err=True)


def _export_records(sink: Sink, where: Filter, output: Path, limit: int | None) -> None:
    # The messages take a second to import, and the other formats do not need them.
    from gateway.prediction_log.offline.records.prediction_logs import write_prediction_logs  # noqa: PLC0415

    with written(output) as part:
        count, left_out = write_prediction_logs(part, shown(sink.read(PredictionRow, where), "writing"), limit)
        if not count:
            raise ExportFailure(
                f"no request to write: of {left_out} none was answered and kept with all of its inputs "
                "(GATEWAY_PREDICTION_LOG_VALUES)"
            )
    click.echo(f"{output}: {count} records", err=True)
    if left_out:
        click.echo(f"left out: {left_out} requests that were refused, or whose inputs were not kept whole", err=True)
    if count > _MOST_WARMUP_RECORDS:
        click.echo(f"a model server takes at most {_MOST_WARMUP_RECORDS} records as warm-up: --limit", err=True)
