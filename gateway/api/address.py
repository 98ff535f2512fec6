"""The address of the gateway as the client of a request has it, for the programs that an answer shows."""

import re
from typing import Final

from gateway.call import Call

_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_FALLBACK: Final = "http://localhost:8080"


def of_gateway(call: Call) -> str:
    """``http://host:port`` as the request has it. A malformed host is not repeated, because it would end up in programs."""
    host = call.headers.get("host", "")
    return f"{call.scheme}://{host}" if _HOST.fullmatch(host) else _FALLBACK
