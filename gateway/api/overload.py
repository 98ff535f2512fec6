"""The answer to a request that is refused before anyone looks at it, as whole HTTP bytes: it must cost next to nothing."""

import random
import time
from typing import Final

from gateway import metrics
from gateway.api.errors import render
from gateway.errors import Unavailable
from gateway.logs import logger

log = logger("request")

_TELL_S: Final = 1.0
_ERROR: Final = Unavailable("too many requests are in work here")


def _answer_to(path: str) -> str:
    body = render(_ERROR, path).decode()
    head = (
        f"HTTP/1.1 {_ERROR.http_status} Service Unavailable\r\n"
        "Connection: %s\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {_ERROR.retry_after_s}\r\n"
    )
    return f"{head}X-Request-Id: %032x\r\n\r\n{body}"


_COMPATIBLE: Final = _answer_to("/v1/")
_OPENINFERENCE: Final = _answer_to("/v2")
_SIMPLE: Final = _answer_to("/predict")


class Overload:
    """Refuses; the log is told once in a second how many. For one thread."""

    def __init__(self) -> None:
        self._untold = 0
        self._told_s = 0.0

    def answer(self, path: str, closes: bool) -> bytes:
        """What a client that asked for ``path`` is told; ``closes``: and that its connection is closed then."""
        metrics.REFUSALS.inc()
        self._tell()
        template = {"/v1": _COMPATIBLE, "/v2": _OPENINFERENCE}.get(path[:3].lower(), _SIMPLE)
        # The id is unique, and nobody's secret.
        return (template % ("close" if closes else "keep-alive", random.getrandbits(128))).encode()

    def _tell(self) -> None:
        self._untold += 1
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_S:
            log.warning("requests.refused", count=self._untold)
            self._untold, self._told_s = 0, now_s
