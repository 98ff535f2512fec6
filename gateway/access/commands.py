"""``python -m gateway keys``: makes, lists, rotates and disables API keys.

A new key goes to stdout alone, so that ``KEY=$(python -m gateway keys new NAME)`` works; all other words of ``new``, ``rotate``
and ``disable`` go to stderr.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gateway.access import key_text
from gateway.access.key_changes import KeyChangeError
from gateway.access.key_file import CheckLimits, KeyFileError
from gateway.access.managed_keys import Made, ManagedKeys
from gateway.access.wanted_key import DEFAULT_OVERLAP, DEFAULT_SCOPES, LEAST_LIFETIME, WantedKey, parse_length
from gateway.errors import InvalidArgument

Result = TypeVar("Result")


class _Duration(click.ParamType[timedelta]):
    """A length of time, such as ``90d``; at least ``least``, and at most 100 years."""

    name = "duration"

    def __init__(self, least: timedelta) -> None:
        self._least = least

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:
        """The time that the text means."""
        try:
            return parse_length(str(value), self._least)
        except ValueError as error:
            self.fail(str(error), parameter, context)


def keys(check_limits: CheckLimits) -> click.Group:
    """The group of commands. ``check_limits`` raises ValueError for a text that is none of limits."""
    commands = (_new, _list, _rotate, _disable)
    return click.Group("keys", commands, help="Make and look after API keys.", context_settings={"obj": check_limits})


def _only(context: click.Context, parameter: click.Parameter, values: Sequence[timedelta]) -> timedelta | None:
    """The one of ``values``, of an option that click would otherwise take the last of."""
    if len(values) > 1:
        raise click.BadParameter("expected it once", context, parameter)
    return values[0] if values else None


def _file_option(exists: bool) -> Callable[..., Any]:
    return click.option(
        "--file",
        "path",
        envvar="GATEWAY_KEYS_FILE",
        show_envvar=True,
        required=True,
        type=click.Path(path_type=Path, dir_okay=False, exists=exists),
        help="The key file.",
    )


@click.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=(",".join(DEFAULT_SCOPES),),
    show_default=True,
    help="Some of predict, metadata, admin and metrics.",
)
@click.option(
    "--models", multiple=True, default=("*",), show_default=True, help="Names or patterns of models, with commas between them."
)
@click.option(
    "--limit", "limits", multiple=True, help="How much the key may do, such as '100/day; 30/hour'.  [default: no limit]"
)
@click.option(
    "--expires",
    "lifetime",
    multiple=True,
    callback=_only,
    type=_Duration(LEAST_LIFETIME),
    help="How long the key is valid, such as 90d.  [default: it does not expire]",
)
@_file_option(exists=False)
@click.pass_obj
def _new(
    check_limits: CheckLimits,
    *,
    name: str,
    scopes: Sequence[str],
    models: Sequence[str],
    limits: Sequence[str],
    lifetime: timedelta | None,
    path: Path,
) -> None:
    """Make a key for NAME, and print it. It is not shown again."""
    wanted = WantedKey(name, _split(scopes), _split(models), "; ".join(limits), lifetime)
    made = _change(ManagedKeys(path, check_limits), lambda keys: keys.add(wanted))
    _show(made)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@_file_option(exists=True)
@click.pass_obj
def _list(check_limits: CheckLimits, as_json: bool, path: Path) -> None:
    """List all keys, and when each was last used."""
    managed = ManagedKeys(path, check_limits)
    try:
        rows = managed.rows(managed.all())
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows)))
    elif rows:
        _table(rows)
    else:
        click.echo(f"{path} holds no keys: nobody is let in", err=True)


@click.command("rotate")
@click.argument("name")
@click.option(
    "--overlap",
    multiple=True,
    callback=_only,
    type=_Duration(timedelta(0)),
    default=(DEFAULT_OVERLAP,),
    show_default=True,
    help="How long the old key stays valid; 0s: it is not.",
)
@_file_option(exists=True)
@click.pass_obj
def _rotate(check_limits: CheckLimits, name: str, overlap: timedelta, path: Path) -> None:
    """Make a second key for NAME, and print it. It may do what the old one may, which expires after the overlap."""
    made = _change(ManagedKeys(path, check_limits), lambda keys: keys.rotate(name, overlap))
    _show(made)
    click.echo(f"other keys of {name} expire at {_minute(made.key.created + overlap)} or sooner", err=True)


@click.command("disable")
@click.argument("name")
@_file_option(exists=True)
@click.pass_obj
def _disable(check_limits: CheckLimits, name: str, path: Path) -> None:
    """Let nobody in with any key of NAME any more."""
    keys = _change(ManagedKeys(path, check_limits), lambda keys: keys.disable(name))
    click.echo(f"disabled {name}: {', '.join(key.id for key in keys if key.name == name)}", err=True)


def _change(keys: ManagedKeys, change: Callable[[ManagedKeys], Result]) -> Result:
    """What ``change`` of ``keys`` returns. What is wrong with it ends the command with one line."""
    try:
        return change(keys)
    except InvalidArgument as error:
        # Each pointer, such as /models/1, begins with the name of an option.
        texts = [f"{one.pointer.split('/')[1]}: expected {one.expected}, got {one.got}" for one in error.problems]
        raise click.UsageError("; ".join(texts)) from None
    except (KeyFileError, KeyChangeError) as error:
        raise click.ClickException(key_text.hide_secrets(str(error))) from error


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for part in ",".join(texts).split(","))


def _show(made: Made) -> None:
    key = made.key
    click.echo(
        f"the key {key.name} ({key.id}) has the scopes {', '.join(key.scopes)} for the models {', '.join(key.models)},"
        f" {f'limits {key.limits}' if key.limits else 'no limits'}, and"
        f" {f'expires at {_minute(key.expires)}' if key.expires else 'does not expire'}; it is not shown again:",
        err=True,
    )
    click.echo(made.new.text)


def _table(rows: Sequence[dict[str, object]]) -> None:
    head = [name.replace("_", " ").upper() for name in rows[0]]
    lines = [head, *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return _minute(value)
    return ",".join(value) if isinstance(value, tuple) else str(value or "-")


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%MZ}"
