"""The headers that are unlike in every request: an id, as a proxy gives each request, and a bearer token.

Every load sends them, to every contender: a server that remembers heads byte for byte gains nothing here, as behind a proxy.
A contender with API keys of its own gets those, one after another, instead of tokens that are unlike.
"""

import secrets
from collections.abc import Sequence
from itertools import count
from typing import Final

REQUEST_ID: Final = "X-Request-Id"
AUTHORIZATION: Final = "Authorization"
# 32 hexadecimal digits, as nginx's $request_id; 40 of the token.
_ID: Final = secrets.token_hex(8)
_TOKEN: Final = secrets.token_hex(12)
_NUMBERS: Final = count()


def fresh(keys: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of the next request of this process; the token is the next of ``keys``, if there are any."""
    number = next(_NUMBERS)
    token = keys[number % len(keys)] if keys else f"{number:016x}{_TOKEN}"
    return {REQUEST_ID: f"{_ID}{number:016x}", AUTHORIZATION: f"Bearer {token}"}


def insert(request: bytes) -> bytes:
    """Return the request, as it goes over the wire, with fresh headers behind its first line."""
    end = request.index(b"\r\n") + 2
    lines = "".join(f"{name}: {value}\r\n" for name, value in fresh().items())
    return request[:end] + lines.encode("ascii") + request[end:]
