"""The answer to a request that is refused before anyone looks at it, as whole HTTP bytes: it must cost next to nothing."""

import random
import time
from typing import Final

from gateway import metrics, waiting
from gateway.api.errors import render
from gateway.errors import Unavailable
from gateway.logs import logger

log = logger("request")

_TELL_S: Final = 1.0
_COUNT_S: Final = 0.1
_ERROR: Final = Unavailable("too many requests are in work here")


def _answer_to(path: str) -> bytes:
    body = render(_ERROR, path).decode()
    head = (
        f"HTTP/1.1 {_ERROR.http_status} Service Unavailable\r\n"
        "Connection: %s\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {_ERROR.retry_after_s}\r\n"
    )
    return f"{head}X-Request-Id: %032x\r\n\r\n{body}".encode()


_TEMPLATES: Final = {prefix: _answer_to(f"{prefix}/") for prefix in ("/v1", "/V1", "/v2")}
_SIMPLE: Final = _answer_to("/predict")


class Overload:
    """Refuses; the metrics and the log are told now and then how often. For one thread."""

    def __init__(self) -> None:
        self._uncounted = 0
        self._untold = 0
        self._told_s = 0.0

    def answer(self, path: str, closes: bool) -> bytes:
        """What a client that asked for ``path`` is told; ``closes``: and that its connection is closed then."""
        self._uncounted += 1
        if self._uncounted == 1:
            waiting.when_idle(self._count, _COUNT_S)
        template = _TEMPLATES.get(path[:3], _SIMPLE)
        # The id is unique, and nobody's secret.
        return template % (b"close" if closes else b"keep-alive", random.getrandbits(128))

    def _count(self) -> None:
        metrics.REFUSALS.inc(self._uncounted)
        self._untold += self._uncounted
        self._uncounted = 0
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_S:
            log.warning("requests.refused", count=self._untold)
            self._untold, self._told_s = 0, now_s
