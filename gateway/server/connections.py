"""What the connections of one worker have in common: the answers, the limits, the clock, and how much is in work."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.call import Answer, Call
from gateway.errors import GatewayError, Unavailable
from gateway.server.limits import Limits
from gateway.server.received import ReceivedBodies, Upload
from gateway.server.response import FAILURE, date_of

_SWEEP_S: Final = 0.1

log = logging.getLogger("gateway.server")


class Connection(Upload, Protocol):
    """A client's connection, as the worker sees it. ``expires_s`` is a time of the loop's clock."""

    expires_s: float

    def expire(self) -> None:
        """``expires_s`` has come: the connection is closed, unless it has got on since."""

    def let_go(self) -> None:
        """The worker stops: a connection that waits for a request is closed soon."""

    def abort(self) -> None:
        """Close at once, whatever is under way."""


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
        self.date = date_of(time.time())
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
        if self.in_work < limit:
            return None
        return Unavailable("too many requests are in work here").decided_by("GATEWAY_MAX_IN_FLIGHT", limit)

    async def watch(self) -> None:
        """Close what takes too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.date = date_of(time.time())
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
