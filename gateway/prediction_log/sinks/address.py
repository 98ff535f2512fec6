"""The address of a sink, such as ``sqlite:///predictions.db``, ``postgresql://user:password@host/database``, ``file:///folder``."""

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from gateway.prediction_log.sinks.files import FileSink
from gateway.prediction_log.sinks.sink import Sink

if TYPE_CHECKING:
    from sqlalchemy import URL

EXPECTED: Final = "sqlite:///file, postgresql://user:password@host/database or file:///folder"
_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",  # as many providers write it in DATABASE_URL
}


def sink_at(address: str) -> Sink:
    """The sink at ``address``, which is not opened yet.

    Raises:
        ValueError: it is no such address. The message does not repeat it, because it may hold a password.
    """
    scheme = address.partition(":")[0]
    if scheme == "file":
        return FileSink(_folder(address))
    if scheme not in _DRIVERS:
        raise ValueError(f"expected {EXPECTED}, got an address that begins with {scheme[:20]!r}")
    # Only a worker with a database pays for the import.
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    from gateway.prediction_log.sinks.sql import SqlSink  # noqa: PLC0415

    try:
        address.encode()  # neither driver takes anything but UTF-8
        url = make_url(address).set(drivername=_DRIVERS[scheme])
    except (ArgumentError, ValueError):
        raise ValueError(f"expected {EXPECTED}, got an address that cannot be read") from None
    if scheme == "sqlite" and (url.host or url.database in (None, "", ":memory:")):
        raise ValueError("expected sqlite:///file (sqlite:////file for an absolute path), got no file")
    if scheme != "sqlite":
        _check_server(address, url)
    return SqlSink(url)


def _check_server(address: str, url: "URL") -> None:
    # What stands behind the wrong one of two @ would be shown, though it is a part of the password.
    if address.count("@") > 1 or "?" in (url.username or ""):
        raise ValueError(f"expected {EXPECTED}, got an @ too many: in a user or password write %40 for @, %3F for ?")
    if not (url.host or url.database or url.query):
        raise ValueError(f"expected {EXPECTED}, got neither a host nor a database")


def _folder(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc or not parts.path.startswith("/") or parts.path == "/" or parts.query or parts.fragment:
        raise ValueError("expected file:///folder with the absolute path of a folder")
    return Path(unquote(parts.path))
