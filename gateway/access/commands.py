"""``python -m gateway keys``: makes, lists, rotates and disables API keys.

A new key goes to stdout alone, so that ``KEY=$(python -m gateway keys new NAME)`` works; all other words of ``new``, ``rotate``
and ``disable`` go to stderr.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from gateway.access import key_changes, key_file, key_text, last_use
from gateway.access.key import Key
from gateway.access.key_changes import KeyChangeError
from gateway.access.key_file import CheckLimits, KeyFileError
from gateway.durations import parse_duration

_LONGEST: Final = timedelta(days=36500)


class _Duration(click.ParamType[timedelta]):
    """A length of time, such as ``90d``; at least ``least``, and at most 100 years."""

    name = "duration"

    def __init__(self, least: timedelta) -> None:
        self._least = least

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:
        """The time that the text means."""
        seconds = parse_duration(str(value))
        if seconds is None or not self._least.total_seconds() <= seconds <= _LONGEST.total_seconds():
            expected = f"a number with s, m, h or d behind it, such as 24h, from {self._least.seconds}s to {_LONGEST.days}d"
            self.fail(f"expected {expected}, got {key_text.hide_secrets(str(value))!r}", parameter, context)
        return timedelta(seconds=seconds)


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
    default=("predict,metadata",),
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
    type=_Duration(timedelta(seconds=1)),
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
    new, now, limit = key_text.new(), _now(), "; ".join(limits)
    try:
        key = Key(
            id=new.id,
            name=name,
            sha256=new.sha256,
            scopes=_split(scopes),
            models=_split(models),
            limits=limit,
            created=now,
            expires=None if lifetime is None else now + lifetime,
        )
        if limit:
            check_limits(limit)
    except ValueError as error:
        raise click.UsageError(key_text.hide_secrets(str(error))) from None  # the cause may hold a misplaced key
    _change(path, check_limits, lambda keys: key_changes.added(keys, key))
    _show(new.text, key)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@_file_option(exists=True)
@click.pass_obj
def _list(check_limits: CheckLimits, as_json: bool, path: Path) -> None:
    """List all keys, and when each was last used."""
    try:
        keys = key_file.read(path, check_limits)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error
    uses = last_use.read(last_use.path_beside(path))
    now = _now()
    rows = [_row(key, now, uses.get(key.id)) for key in keys]
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
    default=("24h",),
    show_default=True,
    help="How long the old key stays valid; 0s: it is not.",
)
@_file_option(exists=True)
@click.pass_obj
def _rotate(check_limits: CheckLimits, name: str, overlap: timedelta, path: Path) -> None:
    """Make a second key for NAME, and print it. It may do what the old one may, which expires after the overlap."""
    new, now = key_text.new(), _now()
    keys = _change(path, check_limits, lambda keys: key_changes.rotated(keys, name, new, now, overlap))
    _show(new.text, keys[-1])
    click.echo(f"other keys of {name} expire at {_minute(now + overlap)} or sooner", err=True)


@click.command("disable")
@click.argument("name")
@_file_option(exists=True)
@click.pass_obj
def _disable(check_limits: CheckLimits, name: str, path: Path) -> None:
    """Let nobody in with any key of NAME any more."""
    keys = _change(path, check_limits, lambda keys: key_changes.disabled(keys, name))
    click.echo(f"disabled {name}: {', '.join(key.id for key in keys if key.name == name)}", err=True)


def _change(path: Path, check_limits: CheckLimits, edit: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> tuple[Key, ...]:
    """What ``edit`` has made of the keys, which are in the file now."""
    try:
        return key_file.change(path, check_limits, edit)
    except (KeyFileError, KeyChangeError) as error:
        raise click.ClickException(key_text.hide_secrets(str(error))) from error


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for part in ",".join(texts).split(","))


def _show(text: str, key: Key) -> None:
    click.echo(
        f"the key {key.name} ({key.id}) has the scopes {', '.join(key.scopes)} for the models {', '.join(key.models)},"
        f" {f'limits {key.limits}' if key.limits else 'no limits'}, and"
        f" {f'expires at {_minute(key.expires)}' if key.expires else 'does not expire'}; it is not shown again:",
        err=True,
    )
    click.echo(text)


def _row(key: Key, now: datetime, used: datetime | None) -> dict[str, object]:
    return {
        "name": key.name,
        "id": key.id,
        "state": key.state(now),
        "scopes": key.scopes,
        "models": key.models,
        "limits": key.limits,
        "created": key.created,
        "expires": key.expires,
        "last_used": used,
    }


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
