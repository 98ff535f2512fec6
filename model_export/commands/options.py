"""Arguments and options that several commands take, and the lines that they print."""

from pathlib import Path

import click

from model_export.errors import ExportError
from model_export.versions import Version, check_model_name

DEFAULT_CONFIG = Path("serving_config/models.config")

models_dir_option = click.option(
    "--models-dir",
    "root",
    envvar="MODELS_DIR",
    default="models",
    show_default=True,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The folder that servers read models from.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
gateway_option = click.option(
    "--gateway",
    metavar="URL",
    envvar="GATEWAY_URL",
    show_envvar=True,
    help="The gateway whose rollouts count, such as http://127.0.0.1:8080; GATEWAY_KEY has a key with the scope admin.",
)
model_config_option = click.option(
    "--model-config-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help=f"The server's list of models: what it says of NAME counts.  [default: {DEFAULT_CONFIG}, if there]",
)


def valid_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Return the model's name as click's callbacks do; a name that cannot stand in a URL is wrong usage."""
    try:
        return check_model_name(name)
    except ExportError as error:
        raise click.BadParameter(str(error)) from error


name_argument = click.argument("name", callback=valid_name)


def default_config() -> Path | None:
    """Return the repository's list of models, where the command runs in it."""
    return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None


def event(what: str, model: str, version: Version) -> str:
    """Return the line that tells what has happened to a version."""
    return f"{what} model={model} version={version.number} path={version.path}"


def canary_advice(model: str, number: int) -> str:
    """Return how a version that servers do not take, because others are pinned, gets requests."""
    return f"`python -m gateway rollout start {model} --canary {number}` lets it answer a part of the requests"
