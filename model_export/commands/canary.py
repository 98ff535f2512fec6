"""`publish --rollout`: its options, and what it prints."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

import click

from model_export import console
from model_export.commands.options import gateway_option
from model_export.rollouts.admin_api import admin_api, key_from_environment
from model_export.rollouts.canary import Canary

# Field of the gateway's request -> option, what it takes, help.
_WANTED: Final = {
    "steps": ("--canary-steps", "STEPS", "its steps, such as 1%:10m,10%:10m,50%:10m"),
    "shadow": ("--shadow", "PART", "the part of the other requests that it is asked too, such as 20%"),
    "sticky": ("--sticky", "BY", "what a caller is known by: header:NAME, key or address"),
    "keep_old": ("--keep-old", "TIME", "how long the old version stays loaded afterwards, such as 10m"),
}
_LOW_TRAFFIC: Final = "--low-traffic"


def rollout_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets ``is_canary``, ``gateway`` and, by name, the fields of the gateway's request."""
    told = "Let it answer a part of the requests first; it is taken back if it is worse."
    options = [
        click.option("--rollout", "is_canary", is_flag=True, help=told),
        gateway_option,
        *(
            click.option(option, field, metavar=metavar, help=f"With --rollout: {meaning}.")
            for field, (option, metavar, meaning) in _WANTED.items()
        ),
        click.option(_LOW_TRAFFIC, is_flag=True, help="With --rollout: fewer requests are enough for a step."),
    ]
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


def canary_of(name: str, is_canary: bool, gateway: str | None, fields: Mapping[str, str | bool | None]) -> Canary | None:
    """Return what `--rollout` asks for, or None without it. Raises UsageError for options that do not go together."""
    wanted = {field: value for field, value in fields.items() if value}
    if not is_canary:
        if wanted:
            field = next(iter(wanted))
            raise click.UsageError(f"{_WANTED[field][0] if field in _WANTED else _LOW_TRAFFIC} is for --rollout")
        return None
    if not gateway:
        raise click.UsageError("--rollout needs --gateway URL (or GATEWAY_URL), such as http://127.0.0.1:8080")
    return Canary(admin_api(gateway, key_from_environment()), name, wanted)


def roll_out(canary: Canary, name: str, number: int) -> None:
    """Start the rollout of version ``number``, and print how it stands."""
    with console.progress(name) as report:
        rollout = canary.start(number, report)
    versions = f"stable={rollout.stable or 'unknown'} canary={rollout.canary}"
    click.echo(f"rollout model={name} id={rollout.id} state={rollout.state} {versions}")
    click.echo(f"watch it on the gateway's machine: `python -m gateway rollout status {name} --watch`", err=True)
