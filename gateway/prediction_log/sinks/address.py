"""The address of a sink, such as ``sqlite:///predictions.db``, ``postgresql://user:password@host/database``, ``file:///folder``."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.database.address import url_at
from gateway.prediction_log.sinks.files import FileSink
from gateway.prediction_log.sinks.sink import Sink

EXPECTED: Final = "sqlite:///file, postgresql://user:password@host/database or file:///folder"


def sink_at(address: str) -> Sink:
    """The sink at ``address``, which is not opened yet.

    Raises:
        ValueError: it is no such address. The message does not repeat it, because it may hold a password.
    """
    if address.partition(":")[0] == "file":
        return FileSink(_folder(address))
    url = url_at(address, EXPECTED)
    # Only a worker with a database pays for the import.
    from gateway.prediction_log.sinks.sql import SqlSink  # noqa: PLC0415

    return SqlSink(url)


def _folder(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc or not parts.path.startswith("/") or parts.path == "/" or parts.query or parts.fragment:
        raise ValueError("expected file:///folder with the absolute path of a folder")
    return Path(unquote(parts.path))
