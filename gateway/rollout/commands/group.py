"""The group of commands ``python -m gateway rollout``."""

import click

from gateway.rollout.commands.looking import explain_last, history, status
from gateway.rollout.commands.opening import Surroundings
from gateway.rollout.commands.orders import ORDERS
from gateway.rollout.commands.start import start

_HELP = """Let a new version answer a part of the requests, and take it back by itself if it is worse.

    The commands write into the database that the gateways follow (GATEWAY_STATE_DIR or DATABASE_URL). Each gateway does what
    is written there within two seconds.
    """


def rollout(around: Surroundings) -> click.Group:
    """The group, on the database that the settings name."""
    commands = (start, status, *ORDERS, history, explain_last)
    return click.Group("rollout", commands, help=_HELP, context_settings={"obj": around})
