"""What is wrong with a row is, for a caller, a database that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import MsgspecError
from sqlalchemy.exc import DBAPIError

from gateway.rollout.store.away import StoreAway


@contextmanager
def row_faults() -> Iterator[None]:
    """Raises StoreAway for a row that the database does not take, or that is in it and cannot be read."""
    try:
        yield
    except DBAPIError as error:
        lines = str(error.orig).strip().splitlines() or [type(error).__name__]
        raise StoreAway(f"it does not take a row: {lines[0]}") from None
    except MsgspecError as error:
        raise StoreAway(f"it has a row that this gateway cannot read: {error}") from None
