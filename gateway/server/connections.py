"""What the connections of one worker have in common: the answers, the limits, the clock, and how much is in work."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final, Protocol

from gateway.call import Answer, Call
from gateway.errors import GatewayError, Unavailable, too_many_in_work
from gateway.server.limits import Limits
from gateway.server.response import FAILURE

_SWEEP_S: Final = 0.1
_LEAST_BOUND_BYTES: Final = 64 << 20

log = logging.getLogger("gateway.server")


class Connection(Protocol):
    """A client's connection, as the worker sees it. ``expires_s`` is a time of the loop's clock."""

    expires_s: float

    def expire(self) -> None:
        """``expires_s`` has come: the connection is closed, unless it has got on since."""

    def let_go(self) -> None:
        """The worker stops: a connection that waits for a request is closed soon."""

    def abort(self) -> None:
        """Close at once, whatever is under way."""

    def hold_up(self, is_held_up: bool) -> None:
        """Receive nothing more of a large body for now, or go on. A second call with the same value does nothing."""


class ReceivedBodies:
    """Counts the bytes of bodies that were received and not yet answered.

    The bound leaves room for four of the largest bodies, and is at least 64 MiB. While there is more, the uploads are held up,
    all but the one that has been large for the longest time: it ends or times out, and then it is the next one's turn. Small
    bodies are counted and never held up.
    """

    def __init__(self, limits: Limits) -> None:
        self.bytes = 0
        self._bound_bytes = max(4 * limits.max_body_bytes, _LEAST_BOUND_BYTES)
        self._uploads: dict[Connection, None] = {}  # the oldest first
        self._is_over = False

    def count(self, upload: Connection, added_bytes: int, *, is_large: bool) -> None:
        """``upload`` holds so many bytes more (fewer, below zero). ``is_large``: it is receiving a large body."""
        self.bytes += added_bytes
        is_over = self.bytes > self._bound_bytes
        if is_over == self._is_over and is_large == (upload in self._uploads):
            return
        self._is_over = is_over
        if is_large:
            self._uploads[upload] = None
        else:
            self._uploads.pop(upload, None)
        for place, one in enumerate(self._uploads):
            one.hold_up(is_over and place > 0)


class Connections:
    """The open connections, for one event loop.

    ``answer`` answers a whole request, ``refuse`` one that the server itself refuses. ``is_draining`` says whether answers
    close their connections from now on. ``in_work`` counts the requests that are whole and not yet answered.
    """

    def __init__(
        self,
        answer: Callable[[Call], Awaitable[Answer]],
        refuse: Callable[[Call, GatewayError], Answer],
        limits: Limits,
        is_draining: Callable[[], bool],
    ) -> None:
        self.answer = answer
        self.limits = limits
        self.is_draining = is_draining
        self.bodies = ReceivedBodies(limits)
        self.open: set[Connection] = set()
        self.in_work = 0
        self.date = formatdate(usegmt=True)
        self._refuse = refuse

    def refusal(self, call: Call, error: GatewayError) -> Answer:
        """The answer to a request that is refused."""
        try:
            return self._refuse(call, error)
        except Exception:
            log.exception("a refusal could not be rendered")
            return FAILURE

    def one_too_many(self) -> Unavailable | None:
        """The error for a further request, if there are as many in work as there may be."""
        limit = self.limits.max_in_flight
        return None if self.in_work < limit else too_many_in_work(limit)

    async def watch(self) -> None:
        """Close what takes too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.date = formatdate(usegmt=True)
            now_s = loop.time()
            for connection in [one for one in self.open if one.expires_s <= now_s]:
                connection.expire()

    async def drain(self, within_s: float, is_in_a_hurry: Callable[[], bool]) -> None:
        """Let the connections end. Those that have not after ``within_s`` seconds, or in a hurry, are aborted."""
        loop = asyncio.get_running_loop()
        for connection in list(self.open):
            connection.let_go()
        until_s = loop.time() + within_s
        while self.open and loop.time() < until_s and not is_in_a_hurry():
            await asyncio.sleep(_SWEEP_S)
        await self.abort()

    async def abort(self) -> None:
        """Close all connections at once, and cancel what is in work for them."""
        for connection in list(self.open):
            connection.abort()
        await asyncio.sleep(0)
