"""Where the client of a request found the gateway, for programs that it may run."""

import re
from typing import Final

from gateway.call import Call

_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_FALLBACK: Final = "http://localhost:8080"


def of_gateway(call: Call) -> str:
    """``http://host:port`` as the client's request has it. A host that is none is not repeated: it would end up in programs."""
    host = call.headers.get("host", "")
    return f"{call.scheme}://{host}" if _HOST.fullmatch(host) else _FALLBACK
