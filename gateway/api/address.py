"""Where the client of this request found the gateway, for programs that it may run."""

import re
from typing import Final

from flask import request

_HOST: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")
_FALLBACK: Final = "http://localhost:8080"


def of_gateway() -> str:
    """``http://host:port`` as the client's request has it. A host that is none is not repeated: it would end up in programs."""
    address = request.host_url.rstrip("/")
    return address if _HOST.fullmatch(address) else _FALLBACK
