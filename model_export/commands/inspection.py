"""`list` and `show`: what versions there are, and what they take and give."""

import json
from pathlib import Path

import click

from model_export import console, listing
from model_export.commands.options import event, json_option, models_dir_option
from model_export.commands.release import start_tensorflow, tell_signatures
from model_export.versions import check_model_name, everything, find, model_names, newest


@click.command(name="list")
@json_option
@models_dir_option
def list_models(as_json: bool, root: Path) -> None:
    """List all models and their versions, newest first, withdrawn ones included."""
    found = [(name, version) for name in model_names(root) for version in everything(root / name)]
    if as_json:
        click.echo(json.dumps([listing.version_json(name, version) for name, version in found], indent=2))
    elif found:
        console.table(listing.VERSION_COLUMNS, [listing.version_row(name, version) for name, version in found])
    else:
        click.echo(f"no models in {root}; `python -m model_export build --all` makes the examples", err=True)


@click.command()
@click.argument("model", metavar="NAME[/VERSION]")
@json_option
@models_dir_option
def show(model: str, as_json: bool, root: Path) -> None:
    """Show the signatures of a model's newest version, or of VERSION."""
    name, _, number = model.partition("/")
    folder = root / check_model_name(name)
    version = find(folder, number) if number else newest(folder)
    with console.progress(name) as report:
        start_tensorflow(report)
    from model_export.checking.description import describe  # noqa: PLC0415 - after TensorFlow has started

    described = describe(version.path)
    for warning in described.warnings:
        console.warn(warning)
    if as_json:
        signatures = {"signatures": listing.signatures_json(described.signatures)}
        rows = {"rows": listing.findings_json(described.findings)}
        click.echo(json.dumps(listing.version_json(name, version) | signatures | rows, indent=2))
        return
    click.echo(event(listing.state(version).replace(" ", "_"), name, version))
    tell_signatures(described)
