"""The address of a SQL database, such as ``sqlite:///state.db`` or ``postgresql://user:password@host/database``."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import URL

EXPECTED: Final = "sqlite:///file or postgresql://user:password@host/database"
_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",  # as many providers write it in DATABASE_URL
}


def is_sql(address: str) -> bool:
    """Whether the address begins as one of a SQL database."""
    return address.partition(":")[0] in _DRIVERS


def url_at(address: str, expected: str = EXPECTED) -> "URL":
    """The address with the driver that is used for it. Nothing is opened.

    Raises:
        ValueError: it is no such address. The message says ``expected``, and does not repeat the address, because that may hold
            a password.
    """
    if not is_sql(address):
        raise ValueError(f"expected {expected}, got an address that begins with {address.partition(':')[0][:20]!r}")
    # Only a process with a database pays for the import.
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    scheme = address.partition(":")[0]
    try:
        address.encode()  # neither driver takes anything but UTF-8
        url = make_url(address).set(drivername=_DRIVERS[scheme])
    except (ArgumentError, ValueError):
        raise ValueError(f"expected {expected}, got an address that cannot be read") from None
    if scheme == "sqlite" and (url.host or url.database in (None, "", ":memory:")):
        raise ValueError("expected sqlite:///file (sqlite:////file for an absolute path), got no file")
    if scheme != "sqlite":
        _check_server(address, url, expected)
    return url


def _check_server(address: str, url: "URL", expected: str) -> None:
    # What stands behind the wrong one of two @ would be shown, though it is a part of the password.
    if address.count("@") > 1 or "?" in (url.username or ""):
        raise ValueError(f"expected {expected}, got an @ too many: in a user or password write %40 for @, %3F for ?")
    if not (url.host or url.database or url.query):
        raise ValueError(f"expected {expected}, got neither a host nor a database")
