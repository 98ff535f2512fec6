"""Other origins at the TensorFlow Serving routes: preflights and headers as its REST port has them.

Upstream's flag is ``--rest_api_enable_cors_support`` (``http_server.cc``): it adds the headers, whereas a preflight gets its
answer always. The methods that its web server does not know are refused here too.
"""

from typing import Final

from flask import Flask, Response, request

from gateway.api import requests
from gateway.errors import Unimplemented

METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_SCHEMES: Final = ("http://", "https://")


def init_app(app: Flask, *, enabled: bool) -> None:
    """Answer every OPTIONS request under /v1/; when ``enabled``, let pages of any origin read the answers there."""

    @app.before_request
    def preflight() -> Response | None:
        method = requests.current().method
        if method == "POST" or not _is_tfserving() or (method in METHODS and method != "OPTIONS"):
            return None
        if method != "OPTIONS":
            raise Unimplemented(f"{method} is no method of this dialect")
        is_page = any(scheme in request.headers.get("Origin", "") for scheme in _SCHEMES)
        return Response(status=200 if is_page else 400, content_type="text/html; charset=ISO-8859-1")

    if not enabled:
        return

    @app.after_request
    def allow(response: Response) -> Response:
        if _is_tfserving():
            response.headers.update(HEADERS)
        return response


def _is_tfserving() -> bool:
    return request.path[:4].lower() == "/v1/"
