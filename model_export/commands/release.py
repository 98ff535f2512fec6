"""`build` and `publish`: what becomes the next version of a model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_export import console, listing, models, models_dir, runtime
from model_export.commands.canary import canary_of, roll_out, rollout_options
from model_export.commands.options import (
    canary_advice,
    default_config,
    event,
    model_config_option,
    models_dir_option,
    valid_name,
)
from model_export.errors import ExportError
from model_export.rollouts.pins import pin_of
from model_export.versions import in_service, newest

if TYPE_CHECKING:
    from model_export.checking.check import Verdict
    from model_export.checking.description import Description
    from model_export.publishing.release import Release

Report = Callable[[str], None]


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(models.EXAMPLES)))
@click.option("--all", "every", is_flag=True, help="Build every example.")
@click.option("--if-missing", is_flag=True, help="Leave out models that already have a version in service.")
@models_dir_option
def build(names: tuple[str, ...], every: bool, if_missing: bool, root: Path) -> None:
    """Build example models, each as its next version. Without a NAME: list the examples."""
    if every and names:
        raise click.UsageError("give names or --all, not both")
    wanted = list(models.EXAMPLES) if every else list(dict.fromkeys(names))
    if not wanted:
        console.table(("EXAMPLE", "WHAT IT SHOWS"), list(models.EXAMPLES.items()))
        return
    models_dir.require_writable(root)
    for name in wanted:
        if if_missing and in_service(root / name):
            click.echo(f"kept model={name} version={newest(root / name).number}")
            _tell_of_a_pin(default_config(), name, root)
        else:
            released = _release(root, name, partial(models.writer, name))
            _tell_of_a_pin(default_config(), name, root, released.version.number)


@click.command()
@click.argument("path")
@click.option("--name", required=True, callback=valid_name, help="The model's name, as it stands in URLs.")
@model_config_option
@click.option(
    "--sample",
    "samples",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Requests that the model must answer: a JSON body as :predict takes it, JSON lines of bodies, an .npz of arrays by"
    " input name, or a TFRecord of PredictionLogs. They become the warm-up of their signatures. May be given several times.",
)
@rollout_options
@models_dir_option
def publish(
    *,
    path: str,
    name: str,
    model_config_file: Path | None,
    samples: tuple[Path, ...],
    is_canary: bool,
    gateway: str | None,
    root: Path,
    **wanted: str | bool | None,
) -> None:
    """Publish your own model as the next version of NAME.

    PATH is a .keras file, a SavedModel directory, or module:function. The function, importable from the current
    directory, takes nothing and returns a Keras model, a tf.Module, or a pair of a tf.Module and its signatures.

    Each signature is called with the samples, or else with guessed inputs. If
    the model accepts no guess, that is a warning; if it refuses a sample, that
    is an error. Rows are also called together, because the gateway joins
    requests; what is found of them is printed, and `show` prints it again.

    With --rollout, a gateway pins the versions that serve before the new one
    appears, and starts a rollout of it.
    """
    canary = canary_of(name, is_canary, gateway, wanted)
    models_dir.require_writable(root)
    make_writer = partial(_source_writer, path)
    if not canary:
        released = _release(root, name, make_writer, samples)
        tell_signatures(released.verdict)
        _tell_what_servers_do(model_config_file or default_config(), name, released.version.number, root)
        return
    canary.check(root / name)
    with canary.telling_what_is_left(console.warn):
        released = _release(root, name, make_writer, samples, canary.pin)
        tell_signatures(released.verdict)
        roll_out(canary, name, released.version.number)


def _release(
    root: Path,
    name: str,
    make_writer: Callable[[Report], Callable[[Path], None]],
    samples: tuple[Path, ...] = (),
    before_it_appears: Callable[[Report], None] = lambda report: None,
) -> "Release":
    with console.progress(name) as report:
        start_tensorflow(report)
        from model_export.publishing.release import release  # noqa: PLC0415 - after TensorFlow has started
        from model_export.sampling import sample_file  # noqa: PLC0415 - after TensorFlow has started

        given = [sample for path in samples for sample in sample_file.read(path)]  # before a function trains for hours
        released = release(root, name, make_writer(report), report, given, before_it_appears=partial(before_it_appears, report))
    for warning in released.verdict.warnings:
        console.warn(warning)
    click.echo(event("published", name, released.version))
    return released


def tell_signatures(found: "Verdict | Description") -> None:
    """Print what was found of each signature and its rows."""
    for line in listing.finding_lines(found.findings):
        click.echo(line)
    console.table(listing.SIGNATURE_COLUMNS, listing.signature_rows(found.signatures))


def _source_writer(path: str, report: Report) -> Callable[[Path], None]:
    from model_export.sources.writers import writer_for  # noqa: PLC0415 - after TensorFlow has started

    report(f"reading {path}")
    return writer_for(path)


def start_tensorflow(report: Report) -> None:
    """Start TensorFlow, and say so, unless this process has it already."""
    if not runtime.is_started():
        report("starting TensorFlow")
        runtime.start()


def _tell_what_servers_do(config: Path | None, name: str, number: int, root: Path) -> None:
    """Tell what is to be done so that servers take a version that is published: it may be on no list, or not be pinned."""
    from model_export.model_config import advice  # noqa: PLC0415 - after TensorFlow has started

    try:
        if config:
            click.echo(advice(config, name, models_dir.is_served_here(root)), nl=False)
    except ExportError as error:
        console.warn(str(error))
        return
    _tell_of_a_pin(config, name, root, number)


def _tell_of_a_pin(config: Path | None, name: str, root: Path, number: int | None = None) -> None:
    """Tell when servers, by their list, do not take version ``number``, or have nothing to serve: its versions may be gone."""
    try:
        pin = pin_of(name, root, config)
    except ExportError as error:
        console.warn(str(error))
        return
    if not pin:
        return
    if not {version.number for version in in_service(root / name)} & set(pin.versions):
        go_on = "take `model_version_policy` out of its entry there"
        console.warn(f"{pin.text}, and no such version is there: servers have nothing to serve until you {go_on}")
    elif number is not None and number not in pin.versions:
        console.warn(f"{pin.text}: servers do not take version {number}; {canary_advice(name, number)}")
