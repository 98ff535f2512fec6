"""The answer to a request that is refused before anyone looks at it, as whole HTTP bytes: it must cost next to nothing."""

import threading
import time
from typing import Final, Protocol

from gateway import waiting
from gateway.api import requests
from gateway.api.errors import render
from gateway.api.tfserving import cors
from gateway.errors import Setting, Unavailable
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("request")

_TELL_S: Final = 1.0
_COUNT_S: Final = 0.1


class Head(Protocol):
    """Of the request that is refused; names of ``fields`` in upper case."""

    @property
    def uri(self) -> str:
        """The path, and the query behind it."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each field."""


def _answer_to(path: str, error: Unavailable, headers: dict[str, str]) -> bytes:
    body = render(error, path).decode()
    head = (
        f"HTTP/1.1 {error.http_status} Service Unavailable\r\n"
        "Connection: %s\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Retry-After: {error.retry_after_s}\r\n"
    )
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head}{more}X-Request-Id: %s\r\n\r\n{body}".encode()


class Overload:
    """Refuses what is beyond ``max_in_flight`` requests; the metrics and the log are told now and then how often.

    For one thread.
    """

    def __init__(self, max_in_flight: int, *, allows_other_origins: bool) -> None:
        error = Unavailable("too many requests are in work here")
        self._setting = Setting("GATEWAY_MAX_IN_FLIGHT", max_in_flight)
        upstreams = cors.HEADERS if allows_other_origins else {}
        headers: dict[str, dict[str, str]] = {"/v1": upstreams, "/V1": upstreams, "/v2": {}}
        self._templates = {prefix: _answer_to(f"{prefix}/", error, more) for prefix, more in headers.items()}
        self._simple = _answer_to("/predict", error, {})
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
            log.warning("requests.refused", count=count, **self._setting.as_fields())


def _id(head: Head) -> str:
    given = [value for name, value in head.fields if name == "X-REQUEST-ID"]
    return requests.id_of(given[0] if len(given) == 1 else "")
