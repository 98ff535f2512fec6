"""The rollouts of one process, made from the settings: what requests pass, what follows the plans, and what an operator asks.

SQLAlchemy is imported only where there is a database.
"""

from typing import TYPE_CHECKING

from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gateway.rollout.store.store import Store


def check_rollouts(settings: Settings) -> None:
    """Look once, before there are workers, whether the plans can have a place. A database may be away at the start.

    Raises:
        SettingsError: the folder cannot be used, or the address is none.
    """
    made = store(settings)
    if made is not None:
        made.close()


def store(settings: Settings) -> "Store | None":
    """The database of rollouts, which is not opened yet; None when there is none. Raises as ``check_rollouts``."""
    address = settings.state_database()
    if address is None:
        return None
    from gateway.rollout.store.store import Store  # noqa: PLC0415

    try:
        if settings.state_dir is not None:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Store(address)
    except OSError as error:
        raise SettingsError(f"GATEWAY_STATE_DIR: expected a folder that can be used: {error}") from error
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error
