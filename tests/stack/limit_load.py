"""Clients that ask a gateway again and again, and when each of their requests was under way."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

BODY = b'{"instances": [[1, 2]]}'


class Exchange(NamedTuple):
    """A request, from when it was sent until its answer was there, in seconds of the monotonic clock."""

    sent_s: float
    answered_s: float
    status: int


async def ask(ports: Sequence[int], clients: int, seconds: float, pause_s: float = 0.1) -> list[Exchange]:
    """What ``clients``, spread over ``ports``, got in ``seconds``; each asks ``pause_s`` after each answer."""
    exchanges: list[Exchange] = []
    until_s = time.monotonic() + seconds

    async def client(port: int, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until_s:
            exchanges.append(await _exchange(reader, writer))
            await asyncio.sleep(pause_s)
        writer.close()

    await asyncio.gather(*(client(ports[one % len(ports)], pause_s * one / clients) for one in range(clients)))
    return sorted(exchanges)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    """One request on a connection that is kept: one that is closed fails the test."""
    sent_s = time.monotonic()
    head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n"
    writer.write(head.encode() + BODY)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    [length] = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
    await reader.readexactly(length)
    return Exchange(sent_s, time.monotonic(), int(lines[0].split()[1]))


def surely_in(period_s: float, admitted: Sequence[Exchange]) -> int:
    """The most requests that were admitted in one period for sure: the first was sent and the last answered within it."""
    most = 0
    for number, first in enumerate(admitted):
        within = [one for one in admitted[number:] if one.answered_s < first.sent_s + period_s]
        most = max(most, len(within))
    return most


def fewest_in_full(period_s: float, admitted: Sequence[Exchange], until_s: float) -> int:
    """The fewest in any of the periods that follow each other from the first request on and end before ``until_s``.

    That request was admitted after it was sent: what it frees a period later falls into the next of these periods.
    """
    began_s, fewest = admitted[0].sent_s, len(admitted)
    while began_s + period_s <= until_s:
        fewest = min(fewest, sum(began_s <= one.answered_s < began_s + period_s for one in admitted))
        began_s += period_s
    return fewest
