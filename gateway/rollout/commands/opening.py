"""The database of rollouts as the commands open it. What is wrong with it ends a command with one line."""

import getpass
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import click

from gateway.rollout.plan import GATEWAY
from gateway.rollout.store.away import StoreAway
from gateway.rollout.store.ordering import NoRollout
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store

Pause: TypeAlias = Callable[[float], None]


def _is_terminal() -> bool:
    return sys.stdout.isatty()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the commands take from outside.

    ``read_settings`` gives the gateway's settings, and raises click.ClickException for bad ones. ``pause`` waits for some
    seconds. ``models``: those in GATEWAY_MODEL_CONFIG_FILE; None if that is not set here, or cannot be read.
    ``is_terminal``: whether lines that were printed can be written anew.
    """

    read_settings: Callable[[], Settings]
    pause: Pause = time.sleep
    models: Callable[[Settings], Collection[str] | None] = lambda _: None
    is_terminal: Callable[[], bool] = _is_terminal


@contextmanager
def opened(around: Surroundings, *, makes: bool = False) -> Iterator["Store"]:
    """The database of rollouts, closed afterwards. ``makes``: its folder is made if it is missing."""
    settings = around.read_settings()
    address = settings.state_database()
    if address is None:
        expected = "GATEWAY_STATE_DIR or DATABASE_URL, with the value that the gateway has"
        raise click.UsageError(f"no database of rollouts: expected {expected}")
    # A gateway loads this module for its list of commands, and SQLAlchemy only with a database.
    from gateway.rollout.store.store import Store  # noqa: PLC0415

    if makes:
        _make_folder(settings)
    try:
        store = Store(address)
    except ValueError as error:
        raise click.ClickException(f"DATABASE_URL: {error}") from None
    try:
        yield store
    except StoreAway as away:
        place = "DATABASE_URL" if address == settings.database_url else "GATEWAY_STATE_DIR"
        raise click.ClickException(f"the database of rollouts, {store.name} ({place}), cannot be used: {away}") from None
    except NoRollout as error:
        raise click.ClickException(str(error)) from None
    finally:
        store.close()


def _make_folder(settings: Settings) -> None:
    try:
        if settings.state_dir is not None:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"GATEWAY_STATE_DIR: expected a folder that can be used: {error}") from None


def user() -> str:
    """Who gives the order, for the history. A user with the name by which the gateway itself stands there is marked."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id that has no name, such as in a container
        return "command line"
    return f"user {name}" if name == GATEWAY else name


def now_us() -> int:
    """The time in microseconds since 1970."""
    return time.time_ns() // 1000
