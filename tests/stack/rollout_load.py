"""A load of so many requests a second, whatever the answers take, and every answer of it."""

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """One request: its caller, and the row that is sent."""

    user: str
    row: tuple[float, float]


@dataclass(frozen=True)
class Answered:
    """What became of one request; ``status`` 0: it got no answer. Times are in seconds, ``sent_s`` of the monotonic clock."""

    asked: Asked
    sent_s: float
    took_s: float
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: object = None

    @property
    def version(self) -> str:
        """The version that answered."""
        return self.headers.get("x-model-version", "")


class Load:
    """Asks ``model`` at ``port`` ``rate`` times a second, from a thread of its own, while it is entered.

    ``key``: an API key, where one is needed.
    """

    def __init__(self, port: int, model: str, rate: float, asked: Callable[[int], Asked], key: str = "") -> None:
        self._port = port
        self._path = f"/v1/models/{model}:predict"
        self._key = f"X-API-Key: {key}\r\n" if key else ""
        self._rate = rate
        self._asked = asked
        self._is_over = threading.Event()
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.answers: list[Answered] = []

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def statuses(self) -> set[int]:
        """The statuses of all answers so far."""
        return {answer.status for answer in self.answers}

    async def _run(self) -> None:
        began_s, number = time.monotonic(), 0
        tasks: set[asyncio.Task[None]] = set()
        while not self._is_over.is_set():
            while number < (time.monotonic() - began_s) * self._rate:
                task = asyncio.create_task(self._ask(self._asked(number)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
            await asyncio.sleep(0.5 / self._rate)
        await asyncio.gather(*tasks)
        for _, writer in self._free:
            writer.close()

    async def _ask(self, asked: Asked) -> None:
        body = json.dumps({"instances": [asked.row]}).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: a\r\nX-User: {asked.user}\r\n"
        head += f"{self._key}Content-Length: {len(body)}\r\n\r\n"
        sent_s, writer = time.monotonic(), None
        try:
            reader, writer = self._kept() or await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(head.encode() + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
            answer = await reader.readexactly(int(headers["content-length"]))
        except (OSError, asyncio.IncompleteReadError):
            self.answers.append(Answered(asked, sent_s, time.monotonic() - sent_s, 0))
            if writer is not None:
                writer.close()
            return
        took_s = time.monotonic() - sent_s
        self.answers.append(Answered(asked, sent_s, took_s, int(lines[0].split()[1]), headers, json.loads(answer)))
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._free.append((reader, writer))

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that is open; the gateway closes those that were idle for long."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None


def p99_s(answers: list[Answered]) -> float:
    """The 99th percentile of what the answers took."""
    return statistics.quantiles([answer.took_s for answer in answers], n=100)[98]
