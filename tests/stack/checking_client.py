"""Many connections that ask half_plus_two for random numbers and know what it must answer."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PATH = "/v1/models/half_plus_two:predict"
_PAUSE_S = 0.02  # between two tries to connect

IsRight: TypeAlias = Callable[[list[float], str, Any], bool]
"""Whether these are the predictions for these numbers by this version of the model."""


def half_plus_two(numbers: list[float], version: str, predictions: Any) -> bool:
    return bool(predictions == [number / 2 + 2 for number in numbers])


def adding(by_version: Mapping[str, tuple[float, ...]]) -> IsRight:
    """Each version adds one of its numbers to the halves, the same to all of a request."""

    def is_right(numbers: list[float], version: str, predictions: Any) -> bool:
        return any(predictions == [number / 2 + added for number in numbers] for added in by_version.get(version, ()))

    return is_right


@dataclass
class Tally:
    """What came of all requests so far. Only the client's own thread writes it."""

    answered: Counter[int] = field(default_factory=Counter)  # by status
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # that each took
    # A connection ended: before it was ever answered, between an answer and the next, in the middle of an answer.
    never_taken: int = 0
    lost: int = 0
    cut: int = 0
    refused: int = 0  # connections
    unanswered: int = 0  # requests that got neither an answer nor an end of their connection in ``patience_s``
    without_retry_after: int = 0
    last_bad_s: float = 0.0  # when anything but an answer with 200 came, by the monotonic clock
    good_in_a_row: int = 0  # answers with 200 since then


class CheckingClient:
    """Asks on ``connections`` connections at a time from enter to exit. Each answer is compared with what is right.

    Each asks every ``every_s``, or later if an answer has not come by then, and waits ``patience_s`` for an answer. A new
    connection goes to the address that ``choose`` gives; it may raise OSError. Without it all go to ``port`` of this machine.
    """

    def __init__(
        self,
        port: int,
        connections: int = 64,
        seed: int = 0,
        *,
        every_s: float = 0.0,
        patience_s: float | None = None,
        is_right: IsRight = half_plus_two,
        choose: Callable[[], tuple[str, int]] | None = None,
    ) -> None:
        self.tally = Tally()
        self._choose = choose or (lambda: ("127.0.0.1", port))
        self._connections = connections
        self._every_s = every_s
        self._patience_s = patience_s
        self._is_right = is_right
        self._random = random.Random(seed)
        self._is_over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "CheckingClient":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        self._thread.join()

    async def _run(self) -> None:
        await asyncio.gather(*(self._keep_asking() for _ in range(self._connections)))

    async def _keep_asking(self) -> None:
        while not self._is_over:
            try:
                reader, writer = await asyncio.open_connection(*self._choose())
            except OSError:
                self.tally.refused += 1
                self._note_bad()
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                await self._ask_on(reader, writer)
            finally:
                writer.close()

    async def _ask_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask on one connection until it is over or the server lets go of it."""
        answered = 0
        while not self._is_over:
            numbers = [self._random.randrange(-8000, 8000) / 8 for _ in range(self._random.randint(1, 3))]
            started_s = time.monotonic()
            try:
                async with asyncio.timeout(self._patience_s):
                    status, fields, body = await exchange(reader, writer, numbers)
            except TimeoutError:
                self.tally.unanswered += 1
                self._note_bad()
                return
            except asyncio.IncompleteReadError as error:
                self._count_end(bool(error.partial), answered)
                return
            except OSError:
                self._count_end(False, answered)
                return
            answered += 1
            self.tally.seconds.append(time.monotonic() - started_s)
            self._check(numbers, status, fields, body)
            if fields.get("connection") == "close":
                return
            if self._every_s:
                await asyncio.sleep(max(0.0, started_s + self._every_s - time.monotonic()))

    def _count_end(self, in_the_middle: bool, answered: int) -> None:
        self.tally.cut += in_the_middle
        self.tally.lost += not in_the_middle and answered > 0
        self.tally.never_taken += not in_the_middle and not answered
        self._note_bad()

    def _note_bad(self) -> None:
        self.tally.last_bad_s = time.monotonic()
        self.tally.good_in_a_row = 0

    def _check(self, numbers: list[float], status: int, fields: dict[str, str], body: bytes) -> None:
        self.tally.answered[status] += 1
        self.tally.without_retry_after += status == 503 and "retry-after" not in fields
        if status != 200:
            self._note_bad()
            return
        self.tally.good_in_a_row += 1
        document, version = json.loads(body), fields.get("x-model-version", "")
        if document.keys() != {"predictions"} or not self._is_right(numbers, version, document["predictions"]):
            self.tally.wrong.append(f"{numbers} of version {version}: {body[:1000]!r}")


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, numbers: list[float]
) -> tuple[int, dict[str, str], bytes]:
    """One request and its answer. Raises OSError or IncompleteReadError, with what had come, when the connection ends."""
    writer.write(request(numbers))
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    try:
        body = await reader.readexactly(int(fields["content-length"]))
    except asyncio.IncompleteReadError as error:
        raise asyncio.IncompleteReadError(head + error.partial, None) from error
    return int(first.split()[1]), fields, body


def request(numbers: list[float]) -> bytes:
    """The bytes of one request."""
    body = json.dumps({"instances": numbers}).encode()
    return f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
