"""``python -m gateway log replay``."""

import asyncio
import math
import statistics
from pathlib import Path

import click

from gateway import serving_tls
from gateway.backend.servers.target import is_target
from gateway.prediction_log.commands import print_table
from gateway.prediction_log.offline.commands.failing import one_line
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.progress import shown
from gateway.prediction_log.offline.records.prediction_logs import recorded_requests
from gateway.prediction_log.offline.replay.comparison import Comparison, OutputComparison
from gateway.prediction_log.offline.replay.replay import Outcome
from gateway.prediction_log.offline.replay.replay import replay as send
from gateway.prediction_log.options import VERSION, FiniteRange, Text
from gateway.serving_tls import BadFiles, ServingTls

_DIFFERS = 3
_FILE = click.Path(path_type=Path)


def _target(context: click.Context, option: click.Parameter, value: str) -> str:
    if not is_target(value):
        raise click.BadParameter(f"expected host:port or a gRPC target such as dns:///serving:8500, got {value[:100]!r}")
    return value


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", type=Text(), help="The model that is asked. Default: that of each record.")
@click.option("--version", type=VERSION, metavar="NUMBER", help="The version that is asked. Default: the latest one.")
@click.option("--compare", is_flag=True, help="Compare the outputs with the recorded ones.")
@click.option("--tolerance", type=FiniteRange(0), help="How much floats may differ, relative to the output's largest value.")
@click.option(
    "--target",
    envvar="GATEWAY_SERVING_TARGET",
    default="127.0.0.1:8500",
    show_default=True,
    show_envvar=True,
    type=Text(),
    callback=_target,
    help="The model server.",
)
@click.option("--tls-ca", "ca", type=_FILE, envvar=serving_tls.CA, show_envvar=True, help="TLS: who signed its certificate.")
@click.option("--tls-cert", "cert", type=_FILE, envvar=serving_tls.CERT, show_envvar=True, help="Mutual TLS: a certificate.")
@click.option("--tls-key", "key", type=_FILE, envvar=serving_tls.KEY, show_envvar=True, help="The certificate's key.")
@click.option("--tls-name", "name", default="", envvar=serving_tls.NAME, show_envvar=True, help="A name in its certificate.")
@click.option(
    "--timeout",
    "timeout_s",
    type=FiniteRange(0, 3600, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds for each request.",
)
@click.pass_context
def replay(
    context: click.Context,
    /,
    *,
    file: Path,
    model: str | None,
    version: int | None,
    compare: bool,
    tolerance: float | None,
    target: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    name: str,
    timeout_s: float,
) -> None:
    """Send the recorded requests of FILE to the model server, one after the other.

    FILE is an export of format predictionlog, or another TFRecord file of PredictionLogs. The exit code is 0 if all were
    answered, and with --compare equal; 3 if an output differs; 1 if a request was not answered or nothing could be compared.
    """
    comparison = Comparison(tolerance)
    with one_line():
        tls = _tls(ca, cert, key, name)
        requests = shown(recorded_requests(file), "replaying")
        outcome = asyncio.run(send(target, tls, requests, model, version, compare=comparison.add, timeout_s=timeout_s))
        _print_outcome(outcome)
        if compare:
            _print_comparison(comparison)
        if outcome.failed:
            raise ExportFailure("\n".join([f"{outcome.failed} requests were not answered by {target}", *outcome.errors]))
        if not outcome.answered:
            raise ExportFailure(f"{file}: there is no Predict request in it")
        if compare and not comparison.outputs:
            raise ExportFailure(f"{file}: nothing to compare: no record holds a response")
    context.exit(_DIFFERS if compare and not comparison.is_equal else 0)


def _tls(ca: Path | None, cert: Path | None, key: Path | None, name: str) -> ServingTls | None:
    try:
        tls = serving_tls.serving_tls(ca, cert, key, name)
        if tls is not None:
            tls.read()
    except (ValueError, BadFiles) as error:
        raise ExportFailure(str(error)) from error
    return tls


def _print_outcome(outcome: Outcome) -> None:
    if outcome.others:
        click.echo(f"left out: {outcome.others} records that are no Predict requests", err=True)
    if outcome.took_s:
        median, longest = statistics.median(outcome.took_s), max(outcome.took_s)
        versions = ", ".join(map(str, sorted(outcome.versions)))
        times = f"median {median * 1000:.1f} ms, longest {longest * 1000:.1f} ms"
        click.echo(f"{outcome.answered} requests answered by version {versions}: {times}")


def _print_comparison(comparison: Comparison) -> None:
    if comparison.unrecorded:
        click.echo(f"{comparison.unrecorded} requests have no recorded answer")
    if comparison.outputs:
        lines = [_line(name, output) for name, output in comparison.outputs.items()]
        print_table([("OUTPUT", "REQUESTS", "EQUAL", "LARGEST DIFFERENCE"), *lines])


def _line(name: str, output: OutputComparison) -> tuple[str, ...]:
    number = "no number" if math.isnan(output.largest) else f"{output.largest:.3g}"
    reasons = [f"{reason}: {count}" for reason, count in output.reasons.items()]
    return (name, str(output.requests), str(output.equal), "; ".join([number, *reasons]))
