"""Options that several commands of the prediction log have, and the types of their values. A bad value is a usage error."""

import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from gateway.prediction_log.sinks.filter_text import parse_statuses, parse_time_us

Command = TypeVar("Command", bound=Callable[..., Any])

_MOST_INT64: Final = 2**63 - 1


class Text(click.ParamType[str]):
    """A text in UTF-8. A command line may hold other bytes, which neither a database nor a model server takes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"expected UTF-8, got {text!a}", param, ctx)
        return text


class FiniteRange(click.FloatRange):
    """A range of numbers. It refuses nan and the infinities too: nan is below and above nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that the text means."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


VERSION: Final = click.IntRange(0, _MOST_INT64)
"""The type of a model's version: TensorFlow Serving keeps an int64, and names a version's folder by its digits."""


def _time_us(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_time_us(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _statuses(context: click.Context, option: click.Parameter, value: str | None) -> range | None:
    if value is None:
        return None
    try:
        return parse_statuses(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def status_option(command: Command) -> Command:
    """The option that says which statuses are meant: ``statuses`` of a ``Filter``."""
    option = click.option(
        "--status", "statuses", callback=_statuses, metavar="STATUS", help="Only this HTTP status, such as 500 or 5xx."
    )
    return option(command)


def filter_options(command: Command) -> Command:
    """The options that say which rows are meant: ``from_us``, ``to_us``, ``model`` and ``version`` of a ``Filter``."""
    for option in (
        click.option("--version", type=VERSION, metavar="NUMBER", help="Only this version."),
        click.option("--model", type=Text(), help="Only this model."),
        click.option("--to", "to_us", callback=_time_us, metavar="TIME", help="Only rows before this time (UTC)."),
        click.option("--from", "from_us", callback=_time_us, metavar="TIME", help="Only rows from this time on (UTC)."),
    ):
        command = option(command)
    return command


def _note_address(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.obj = value


def address_option(command: Command) -> Command:
    """``--log`` of a command, which counts instead of the one before the command: ``pass_obj`` gives either."""
    option = click.option(
        "--log", expose_value=False, callback=_note_address, metavar="URL", help="The address of the prediction log."
    )
    return option(command)
