"""The one error of the database of rollouts. It is here so that who handles it does not load SQLAlchemy."""


class StoreAway(Exception):
    """Raised when the database cannot be used now; the message says why, in one line without a password or a row's values."""
