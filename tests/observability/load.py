"""Clients over TLS that also cause what a dashboard shows on a bad day: refusals, time-outs and a model server that is away.

Meanwhile a new version of one model is rolled out, which must change nothing for them.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import NamedTuple

import numpy as np

from tests.observability.monitored import Monitored
from tests.waiting import wait_for

_HALF = "/v1/models/half_plus_two:predict"
_DENSE = "/v1/models/dense:predict"
_PAUSE_S = 0.02


class Request(NamedTuple):
    path: str
    document: dict[str, list]
    key: str = "busy"


def different(chance: random.Random) -> Iterator[Request]:
    while True:
        yield Request(_DENSE, {"instances": [[chance.randrange(100)] * 10 for _ in range(chance.randint(1, 3))]})


def repeated(chance: random.Random) -> Iterator[Request]:
    while True:
        yield Request(_HALF, {"instances": [chance.randrange(20)]})


def refused(chance: random.Random) -> Iterator[Request]:
    return cycle(
        (
            Request(_HALF, {"instances": ["x"]}),
            Request("/v1/models/none:predict", {"instances": [1]}),
            Request(_HALF, {"instances": [1]}, key=""),
            Request(_HALF, {"instances": [1]}, key="limited"),
        )
    )


class Load:
    """What all clients got: ``statuses``, and the answers that were ``wrong``."""

    def __init__(self, stack: Monitored) -> None:
        self._stack = stack
        self._tls = stack.trust()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._answers: dict[tuple[str, str], object] = {}

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        stack = self._stack
        async with asyncio.TaskGroup() as group:
            usual = [group.create_task(self._ask(different, seed)) for seed in range(8)]
            usual += [group.create_task(self._ask(kind, seed)) for kind in (repeated, refused) for seed in range(2)]
            await asyncio.to_thread(stack.start_rollout)
            await asyncio.sleep(12)
            crowd = [group.create_task(self._ask(different, seed, pause_s=0.0)) for seed in range(100, 200)]
            await asyncio.sleep(5)
            _end(crowd)
            await asyncio.sleep(3)
            stack.suspend_server()
            await asyncio.sleep(2.5)
            stack.resume_server()
            await asyncio.sleep(3)
            stack.kill_a_worker()
            await asyncio.sleep(3)
            await asyncio.to_thread(stack.server.stop)
            await asyncio.sleep(3)
            stack.start_server()
            await asyncio.to_thread(wait_for, stack.is_ready, 60)
            await asyncio.sleep(8)
            _end(usual)

    async def _ask(self, make: Callable[[random.Random], Iterator[Request]], seed: int, pause_s: float = _PAUSE_S) -> None:
        """Ask on one connection after the other, until cancelled."""
        requests = make(random.Random(seed))
        while True:
            try:
                reader, writer = await asyncio.open_connection("localhost", self._stack.gateway_port, ssl=self._tls)
                try:
                    while await self._exchange(reader, writer, next(requests)):
                        await asyncio.sleep(pause_s)
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError):  # a worker was killed
                await asyncio.sleep(_PAUSE_S)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> bool:
        """One request and its answer; whether the connection is kept."""
        body = json.dumps(request.document).encode()
        key = f"X-API-Key: {self._stack.keys[request.key]}\r\n" if request.key else ""
        head = f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        answer = await reader.readexactly(int(fields["content-length"]))
        status = int(lines[0].split()[1])
        self.statuses[status] += 1
        if status == 200:
            self._check(request, json.loads(answer)["predictions"])
        return fields.get("connection") != "close"

    def _check(self, request: Request, predictions: list[list[float]]) -> None:
        """Whatever shared its call, a row is answered as before, but for the rounding of another batch size."""
        for row, prediction in zip(request.document["instances"], predictions, strict=True):
            before = self._answers.setdefault((request.path, str(row)), prediction)
            if not np.allclose(prediction, before, rtol=1e-4):
                self.wrong.append(f"{row}: {prediction}, before {before}")


def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
