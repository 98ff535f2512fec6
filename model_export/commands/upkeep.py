"""`prune`, `rollback` and `restore`: what becomes of published versions. Each looks first whether a rollout needs them."""

from pathlib import Path

import click

from model_export import console
from model_export.commands.options import (
    canary_advice,
    default_config,
    event,
    gateway_option,
    model_config_option,
    models_dir_option,
    name_argument,
)
from model_export.errors import ExportError
from model_export.publishing import upkeep
from model_export.rollouts.admin_api import admin_api, key_from_environment
from model_export.rollouts.guard import Guard
from model_export.rollouts.pins import Pin, pin_of
from model_export.versions import in_service, newest


@click.command()
@name_argument
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many of the newest versions stay.")
@click.option("--withdrawn", "include_withdrawn", is_flag=True, help="Also delete all withdrawn versions.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@gateway_option
@model_config_option
@models_dir_option
def prune(
    *,
    name: str,
    keep: int,
    include_withdrawn: bool,
    dry_run: bool,
    gateway: str | None,
    model_config_file: Path | None,
    root: Path,
) -> None:
    """Delete all but the newest versions of a model. Refused while a rollout needs what it would delete."""
    going = upkeep.prunable(root / name, keep, include_withdrawn)
    guard = _guard(name, gateway, model_config_file, root)
    if going:
        guard.before_deletion({version.number for version in going})
    versions = iter(going) if dry_run else upkeep.prune(root / name, keep, include_withdrawn)
    lines = 0
    for version in versions:
        click.echo(event("would_delete" if dry_run else "deleted", name, version))
        lines += 1
    if not lines:
        click.echo("nothing to delete", err=True)


@click.command()
@name_argument
@click.option(
    "--force",
    is_flag=True,
    help="Even if it is the only version, or pinned while a gateway says that no rollout runs: servers may unload the model.",
)
@gateway_option
@model_config_option
@models_dir_option
def rollback(name: str, force: bool, gateway: str | None, model_config_file: Path | None, root: Path) -> None:
    """Take the newest version of a model out of service; `restore` puts it back. Refused during a rollout.

    A rollout is undone by `python -m gateway rollout abort NAME`, or `undo` after its promotion. Where no gateway can be asked,
    a model whose entry in the list of models names more than one version counts as one with a rollout.
    """
    going = {version.number for version in in_service(root / name)[-1:]}
    if going:
        _guard(name, gateway, model_config_file, root).before_withdrawal(going, force)
    taken, now_newest = upkeep.rollback(root / name, force)
    click.echo(event("withdrawn", name, taken))
    if now_newest:
        click.echo(event("newest", name, now_newest))


@click.command()
@name_argument
@click.argument("version", type=int, required=False)
@gateway_option
@model_config_option
@models_dir_option
def restore(name: str, version: int | None, gateway: str | None, model_config_file: Path | None, root: Path) -> None:
    """Put a withdrawn version back: VERSION, or the newest that is withdrawn. Refused during a rollout."""
    if (root / name).is_dir():
        _guard(name, gateway, model_config_file, root).before_return()
    back = upkeep.restore(root / name, version)
    click.echo(event("restored", name, back))
    pin = _pin(name, model_config_file, root)
    latest = newest(root / name)
    if pin and back.number not in pin.versions:
        console.warn(f"{pin.text}: servers do not take version {back.number}; {canary_advice(name, back.number)}")
    elif latest.number != back.number:
        console.warn(f"version {latest.number} is newer: servers that take only the latest keep to it")


def _guard(name: str, gateway: str | None, config: Path | None, root: Path) -> Guard:
    """Ask the gateway only with a key: without one it would refuse to say, and the model config file is all there is."""
    key = key_from_environment()
    api = admin_api(gateway, key) if gateway and key else None
    return Guard(name, api, _pin(name, config, root), console.warn)


def _pin(name: str, config: Path | None, root: Path) -> Pin | None:
    """Read what pins the model. A list that nobody can read must not stand in the way of taking a version back."""
    try:
        return pin_of(name, root, config or default_config())
    except ExportError as error:
        console.warn(str(error))
        return None
