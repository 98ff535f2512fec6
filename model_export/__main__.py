"""`python -m model_export`: builds, publishes and looks after the model versions that TensorFlow Serving hosts.

Results go to stdout, progress and errors to stderr. TensorFlow is imported only by the commands that need it.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_export import console, listing, models, models_dir, runtime
from model_export.errors import ExportError
from model_export.exit_status import run
from model_export.publishing import rollout
from model_export.versions import Version, check_model_name, everything, find, in_service, model_names, newest

if TYPE_CHECKING:
    from model_export.checking.check import Verdict
    from model_export.checking.description import Description
    from model_export.publishing.release import Release

Report = Callable[[str], None]

DEFAULT_CONFIG = Path("serving_config/models.config")

_models_dir_option = click.option(
    "--models-dir",
    "root",
    envvar="MODELS_DIR",
    default="models",
    show_default=True,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The folder that servers read models from.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _valid_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    try:
        return check_model_name(name)
    except ExportError as error:
        raise click.BadParameter(str(error)) from error


_name_argument = click.argument("name", callback=_valid_name)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Build, publish and look after the versioned SavedModels that TensorFlow Serving hosts.

    Every version is checked by loading it as a server does, gets a warm-up file, and appears all at once as
    MODELS_DIR/NAME/NUMBER. Nothing ever overwrites a version.
    """


@cli.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(models.EXAMPLES)))
@click.option("--all", "every", is_flag=True, help="Build every example.")
@click.option("--if-missing", is_flag=True, help="Leave out models that already have a version in service.")
@_models_dir_option
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
        else:
            _release(root, name, partial(models.writer, name))


@cli.command()
@click.argument("path")
@click.option("--name", required=True, callback=_valid_name, help="The model's name, as it stands in URLs.")
@click.option(
    "--model-config-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help=f"The server's list of models, to tell whether NAME is on it.  [default: {DEFAULT_CONFIG}, if there]",
)
@click.option(
    "--sample",
    "samples",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Requests that the model must answer: a JSON body as :predict takes it, JSON lines of bodies, an .npz of arrays by"
    " input name, or a TFRecord of PredictionLogs. They become the warm-up of their signatures. May be given several times.",
)
@_models_dir_option
def publish(path: str, name: str, model_config_file: Path | None, samples: tuple[Path, ...], root: Path) -> None:
    """Publish your own model as the next version of NAME.

    PATH is a .keras file, a SavedModel directory, or module:function. The function, importable from the current
    directory, takes nothing and returns a Keras model, a tf.Module, or a pair of a tf.Module and its signatures.

    Each signature is called with the samples, or else with guessed inputs. If
    the model accepts no guess, that is a warning; if it refuses a sample, that
    is an error. Rows are also called together, because the gateway joins
    requests; what is found of them is printed, and `show` prints it again.
    """
    models_dir.require_writable(root)
    released = _release(root, name, partial(_source_writer, path), samples)
    _tell_signatures(released.verdict)
    config = model_config_file or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    if config:
        _tell_missing_entry(config, name, root)


@cli.command(name="list")
@_json_option
@_models_dir_option
def list_models(as_json: bool, root: Path) -> None:
    """List all models and their versions, newest first, withdrawn ones included."""
    found = [(name, version) for name in model_names(root) for version in everything(root / name)]
    if as_json:
        click.echo(json.dumps([listing.version_json(name, version) for name, version in found], indent=2))
    elif found:
        console.table(listing.VERSION_COLUMNS, [listing.version_row(name, version) for name, version in found])
    else:
        click.echo(f"no models in {root}; `python -m model_export build --all` makes the examples", err=True)


@cli.command()
@click.argument("model", metavar="NAME[/VERSION]")
@_json_option
@_models_dir_option
def show(model: str, as_json: bool, root: Path) -> None:
    """Show the signatures of a model's newest version, or of VERSION."""
    name, _, number = model.partition("/")
    folder = root / check_model_name(name)
    version = find(folder, number) if number else newest(folder)
    with console.progress(name) as report:
        _start_tensorflow(report)
    from model_export.checking.description import describe  # noqa: PLC0415 - after TensorFlow has started

    described = describe(version.path)
    for warning in described.warnings:
        console.warn(warning)
    if as_json:
        signatures = {"signatures": listing.signatures_json(described.signatures)}
        rows = {"rows": listing.findings_json(described.findings)}
        click.echo(json.dumps(listing.version_json(name, version) | signatures | rows, indent=2))
        return
    click.echo(_event(listing.state(version).replace(" ", "_"), name, version))
    _tell_signatures(described)


@cli.command()
@_name_argument
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many of the newest versions stay.")
@click.option("--withdrawn", "include_withdrawn", is_flag=True, help="Also delete all withdrawn versions.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@_models_dir_option
def prune(name: str, keep: int, include_withdrawn: bool, dry_run: bool, root: Path) -> None:
    """Delete all but the newest versions of a model."""
    if dry_run:
        event, versions = "would_delete", iter(rollout.prunable(root / name, keep, include_withdrawn))
    else:
        event, versions = "deleted", rollout.prune(root / name, keep, include_withdrawn)
    lines = 0
    for version in versions:
        click.echo(_event(event, name, version))
        lines += 1
    if not lines:
        click.echo("nothing to delete", err=True)


@cli.command()
@_name_argument
@click.option("--force", is_flag=True, help="Even if it is the only version: servers then unload the model.")
@_models_dir_option
def rollback(name: str, force: bool, root: Path) -> None:
    """Take the newest version of a model out of service; `restore` puts it back."""
    taken, now_newest = rollout.rollback(root / name, force)
    click.echo(_event("withdrawn", name, taken))
    if now_newest:
        click.echo(_event("newest", name, now_newest))


@cli.command()
@_name_argument
@click.argument("version", type=int, required=False)
@_models_dir_option
def restore(name: str, version: int | None, root: Path) -> None:
    """Put a withdrawn version back: VERSION, or the newest that is withdrawn."""
    back = rollout.restore(root / name, version)
    click.echo(_event("restored", name, back))
    latest = newest(root / name)
    if latest.number != back.number:
        console.warn(f"version {latest.number} is newer: servers that take only the latest keep to it")


def _release(
    root: Path, name: str, make_writer: Callable[[Report], Callable[[Path], None]], samples: tuple[Path, ...] = ()
) -> "Release":
    with console.progress(name) as report:
        _start_tensorflow(report)
        from model_export.publishing.release import release  # noqa: PLC0415 - after TensorFlow has started
        from model_export.sampling import sample_file  # noqa: PLC0415 - after TensorFlow has started

        given = [sample for path in samples for sample in sample_file.read(path)]  # before a function trains for hours
        released = release(root, name, make_writer(report), report, given)
    for warning in released.verdict.warnings:
        console.warn(warning)
    click.echo(_event("published", name, released.version))
    return released


def _tell_signatures(found: "Verdict | Description") -> None:
    for line in listing.finding_lines(found.findings):
        click.echo(line)
    console.table(listing.SIGNATURE_COLUMNS, listing.signature_rows(found.signatures))


def _source_writer(path: str, report: Report) -> Callable[[Path], None]:
    from model_export.sources.writers import writer_for  # noqa: PLC0415 - after TensorFlow has started

    report(f"reading {path}")
    return writer_for(path)


def _start_tensorflow(report: Report) -> None:
    if not runtime.is_started():
        report("starting TensorFlow")
        runtime.start()


def _tell_missing_entry(config: Path, name: str, root: Path) -> None:
    from model_export.model_config import advice  # noqa: PLC0415 - after TensorFlow has started

    try:
        click.echo(advice(config, name, models_dir.is_served_here(root)), nl=False)
    except ExportError as error:
        console.warn(str(error))


def _event(event: str, model: str, version: Version) -> str:
    return f"{event} model={model} version={version.number} path={version.path}"


if __name__ == "__main__":
    sys.exit(run(cli))
