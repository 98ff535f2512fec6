"""Other origins at the TensorFlow Serving routes: preflights and headers as its REST port has them.

Upstream's flag is ``--rest_api_enable_cors_support`` (``http_server.cc``): it adds the headers; a preflight is answered with
or without it. The methods that upstream's web server does not know are refused here too.
"""

from typing import Final

from gateway.call import Answer, Call
from gateway.errors import Unimplemented

METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
HEADERS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)
_SCHEMES: Final = ("http://", "https://")


def preflight_answer(call: Call) -> Answer | None:
    """The answer to an OPTIONS request under /v1/; None for any other method. Raises Unimplemented for an unknown one."""
    if call.method not in METHODS:
        raise Unimplemented(f"{call.method} is not served here; the methods are GET and POST")
    if call.method != "OPTIONS":
        return None
    is_page = any(scheme in call.headers.get("origin", "") for scheme in _SCHEMES)
    return Answer(200 if is_page else 400, b"", [("Content-Type", "text/html; charset=ISO-8859-1")])
