"""Pages and files of the documentation, and the headers that let a browser load nothing from another host."""

from importlib import resources
from typing import Final

from gateway.call import Answer

HTML: Final = "text/html; charset=utf-8"
STATIC: Final = resources.files("gateway.api.docs").joinpath("static")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(body: bytes, content_type: str, cache: str = "no-cache") -> Answer:
    """``body`` as a page; ``cache`` is its Cache-Control."""
    headers = [
        ("Content-Type", content_type),
        ("Cache-Control", cache),
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
    return Answer(200, body, headers)
