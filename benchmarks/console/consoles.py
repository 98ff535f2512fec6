"""Open consoles: each asks for the newest figures once a second, and for the models every two, as the page does."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from gzip import decompress
from typing import Final

from benchmarks.errors import BenchError

_RING_EVERY_S: Final = 1.0
_RINGS_TO_MODELS: Final = 2
_NOW: Final = re.compile(rb'"now":([0-9.]+)')
_TIMEOUT_S: Final = 10


@dataclass
class Polled:
    """How many answers the consoles got, how many of them said that nothing has changed, and what ended the asking."""

    answers: int = 0
    unchanged: int = 0
    problems: list[Exception] = field(default_factory=list)


@dataclass
class _Console:
    port: int
    since: str = "0"
    etags: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, polled: Polled) -> bytes:
        """The answer's body, empty if nothing has changed. Raises BenchError for any other answer."""
        etags = self.etags
        headers = {"Accept-Encoding": "gzip"}
        name = path.partition("?")[0]
        if name in etags:
            headers["If-None-Match"] = etags[name]
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status not in (200, 304):
            raise BenchError(f"{path} was answered with {answer.status}: {body[:200]!r}")
        polled.answers += 1
        polled.unchanged += answer.status == 304
        if answer.status == 304:
            return b""
        etags[name] = answer.headers["ETag"]
        return decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body

    def poll(self, number: int, polled: Polled) -> None:
        """Ask as the page does for the time ``number``."""
        found = _NOW.search(self.ask(f"/admin/console/ring.json?since={self.since}", polled))
        if found:
            self.since = found[1].decode()
        if number % _RINGS_TO_MODELS == 0:
            self.ask("/admin/console/models.json", polled)


@contextmanager
def open_consoles(port: int, count: int) -> Iterator[Polled]:
    """While open, ``count`` consoles ask the gateway at ``port``, one after the other within each second.

    Raises BenchError at the end when one of them was not answered.
    """
    polled, is_over = Polled(), threading.Event()
    thread = threading.Thread(target=_poll, args=(port, count, polled, is_over))
    thread.start()
    try:
        yield polled
    finally:
        is_over.set()
        thread.join()
    if polled.problems:
        raise BenchError(f"a console was not answered: {polled.problems[0]}") from polled.problems[0]


def _poll(port: int, count: int, polled: Polled, is_over: threading.Event) -> None:
    consoles = [_Console(port) for _ in range(count)]
    due_s, number = time.monotonic(), 0
    while consoles and not is_over.is_set():
        for console in consoles:
            due_s = max(due_s + _RING_EVERY_S / count, time.monotonic())
            if is_over.wait(due_s - time.monotonic()):
                return
            try:
                console.poll(number, polled)
            except (OSError, http.client.HTTPException, BenchError) as error:
                polled.problems.append(error)
                return
        number += 1
