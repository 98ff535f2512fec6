"""The group of commands ``python -m gateway rollout``."""

import sys
from typing import Any

import click

from gateway.rollout.commands.looking import explain_last, history, status
from gateway.rollout.commands.opening import Surroundings
from gateway.rollout.commands.orders import ORDERS
from gateway.rollout.commands.start import start

_HELP = """Let a new version answer a part of the requests, and take it back by itself if it is worse.

    The commands write into the database that the gateways follow (GATEWAY_STATE_DIR or DATABASE_URL). Each gateway does what
    is written there within two seconds.
    """


class _Group(click.Group):
    """Its commands end with one line when their output cannot be written, as on a full disk."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # click itself ends quietly when the reader has left
        except OSError as error:
            sys.stdout = None  # what is left in it must not be tried again at the end
            raise click.ClickException(f"cannot be done: {error.strerror or error}") from None


def rollout(around: Surroundings) -> click.Group:
    """The group, on the database that the settings name."""
    commands = (start, status, *ORDERS, history, explain_last)
    return _Group("rollout", commands, help=_HELP, context_settings={"obj": around})
