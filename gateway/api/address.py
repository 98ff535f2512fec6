"""The address under which the client of a request reached the gateway, for the programs that an answer shows."""

import re
from typing import Final

from gateway.call import Call

_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_FALLBACK: Final = "http://localhost:8080"


def gateway_address(call: Call) -> str:
    """``http://host:port``, by the scheme and ``Host`` of ``call``; a malformed host is not repeated, as programs run it."""
    host = call.headers.get("host", "")
    return f"{call.scheme}://{host}" if _HOST.fullmatch(host) else _FALLBACK
