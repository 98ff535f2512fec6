"""Pages of other origins (CORS, the Fetch standard): which may read answers, and what their browsers ask for beforehand.

No answer allows credentials: a key is in a header that the page's own script sets, and there are no cookies.
"""

from collections.abc import Sequence
from typing import Final

from gateway.call import Answer, Call, Handler

ANY: Final = "*"

_ALLOW: Final = "Access-Control-Allow-Origin"
_VARY: Final = ("Vary", "Origin")
# What a script cannot read otherwise.
_EXPOSED: Final = (
    "Access-Control-Expose-Headers",
    "X-Request-Id, X-Model-Version, X-Cache, X-Rollout, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "Inference-Header-Content-Length",
)
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST"),
    (
        "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-Id, "
        "traceparent, tracestate",  # scripts that trace send both or none
    ),
    ("Access-Control-Max-Age", "7200"),  # as long as a browser keeps it at most
)


class Origins:
    """The origins whose pages may read every answer: ``https://app.example`` and so on, or ``*`` for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._is_any = ANY in origins
        self._allowed = {origin: self._headers(origin) for origin in origins}

    def preflight(self, call: Call) -> Handler | None:
        """What answers ``call`` if the browser of an allowed page sends it before the page's own request; otherwise None."""
        is_preflight = call.method == "OPTIONS" and "access-control-request-method" in call.headers
        return _answer if is_preflight and self._of(call) is not None else None

    def add_headers(self, call: Call, answer: Answer) -> bool:
        """Let the page that sends ``call`` read ``answer``; whether it is one that may."""
        headers = self._of(call)
        if headers is not None:
            answer.headers.extend(headers)
        elif not self._is_any:
            answer.headers.append(_VARY)  # a cache must not give it to a page that may
        return headers is not None

    def _of(self, call: Call) -> Sequence[tuple[str, str]] | None:
        origin = call.headers.get("origin")
        return None if origin is None else self._allowed.get(ANY if self._is_any else origin)

    def _headers(self, origin: str) -> Sequence[tuple[str, str]]:
        return ((_ALLOW, origin), _EXPOSED, *(() if origin == ANY else (_VARY,)))


async def _answer(call: Call) -> Answer:
    return Answer(204, b"", _PREFLIGHT)
