"""The answer to a request that is refused before anyone looks at it, as whole HTTP bytes: it must cost next to nothing."""

import threading
import time
from typing import Final, Protocol

from gateway import metrics, waiting
from gateway.api import cors, requests
from gateway.api.errors import render
from gateway.errors import Unavailable
from gateway.logs import logger

log = logger("request")

_TELL_S: Final = 1.0
_COUNT_S: Final = 0.1
_ERROR: Final = Unavailable("too many requests are in work here")


class Head(Protocol):
    """Of the request that is refused; names of ``fields`` in upper case."""

    @property
    def uri(self) -> str:
        """The path, and the query behind it."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each field."""


def _answer_to(path: str, headers: dict[str, str]) -> bytes:
    body = render(_ERROR, path).decode()
    head = (
        f"HTTP/1.1 {_ERROR.http_status} Service Unavailable\r\n"
        "Connection: %s\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {_ERROR.retry_after_s}\r\n"
    )
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head}{more}X-Request-Id: %s\r\n\r\n{body}".encode()


class Overload:
    """Refuses; the metrics and the log are told now and then how often. For one thread."""

    def __init__(self, *, allows_other_origins: bool) -> None:
        upstreams = cors.HEADERS if allows_other_origins else {}
        headers: dict[str, dict[str, str]] = {"/v1": upstreams, "/V1": upstreams, "/v2": {}}
        self._templates = {prefix: _answer_to(f"{prefix}/", more) for prefix, more in headers.items()}
        self._simple = _answer_to("/predict", {})
        self._uncounted = 0
        self._untold = 0
        self._told_s = float("-inf")
        self._telling = threading.Lock()

    def answer(self, head: Head, closes: bool) -> bytes:
        """What the client that sent ``head`` is told; ``closes``: and that its connection is closed then."""
        self._uncounted += 1
        if self._uncounted == 1:
            waiting.when_idle(self._count, _COUNT_S)
        template = self._templates.get(head.uri[:3], self._simple)
        return template % (b"close" if closes else b"keep-alive", _id(head).encode())

    def _count(self) -> None:
        metrics.REFUSALS.inc(self._uncounted)
        with self._telling:
            was_told = not self._untold
            self._untold += self._uncounted
            self._uncounted = 0
            left_s = self._told_s + _TELL_S - time.monotonic()
        if left_s <= 0:
            self._tell()
        elif was_told:
            timer = threading.Timer(left_s, self._tell)
            timer.daemon = True
            timer.start()

    def _tell(self) -> None:
        with self._telling:
            count, self._untold = self._untold, 0
            if count:
                self._told_s = time.monotonic()
        if count:
            log.warning("requests.refused", count=count)


def _id(head: Head) -> str:
    given = [value for name, value in head.fields if name == "X-REQUEST-ID"]
    return requests.id_of(given[0] if len(given) == 1 else "")
