"""The client of the Redis that gateways share: its timeouts, and what its URL may be. It does not try again by itself."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_SOCKET_TIMEOUT_S: Final = 0.25
_EXPECTED: Final = "expected a URL such as redis://host:6379/0"
_ESCAPES: Final = "in a password / is written %2F, ? %3F, # %23 and @ %40"
_SCHEMES: Final = ("redis", "rediss", "unix")
_DATABASE: Final = re.compile(r"(/[0-9]*)?/?")


def redis_at(url: str) -> Redis:
    """A client of the Redis at ``url``, such as ``redis://:password@host:6379/0``, not connected.

    Raises:
        ValueError: it is none; the message says why and does not repeat a password.
    """
    _refuse_if_misread(url)
    try:
        client: Redis = Redis.from_url(
            url,
            socket_timeout=_SOCKET_TIMEOUT_S,
            socket_connect_timeout=_SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except ValueError:  # its words may repeat a password
        raise ValueError(_EXPECTED) from None
    try:
        # It connects to nothing yet, and looks at the options of the URL.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        unknown = [name for name in parse_qs(urlsplit(url).query) if f"'{name}'" in str(error)]
        raise ValueError(f"{_EXPECTED}, got the unknown option {', '.join(unknown)}") from None
    return client


def _refuse_if_misread(url: str) -> None:
    """Refuse what redis-py would take for another address, or ignore."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{_EXPECTED}; {_ESCAPES}" if "@" in url else _EXPECTED) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(_EXPECTED)
    if parts.scheme == "unix":
        return
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"{_EXPECTED}; {_ESCAPES}")
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError(f"{_EXPECTED}, got a database that is no number")
