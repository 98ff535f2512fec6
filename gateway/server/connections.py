"""What the connections of one worker have in common: the answers, the limits, the clock, and how much is in work."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final, Protocol

from gateway.call import Answer, Call
from gateway.errors import GatewayError, Unavailable, too_many_in_work
from gateway.server.limits import SMALL_BODY_BYTES, Limits
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
    all but the one that has been large for the longest time: it ends or times out, and then it is the next one's turn. That
    one is held up too while the bodies that are whole and in work are alone beyond the bound: they will be answered, and make
    room. So there are never more than twice the bound and one body, besides what single reads brought. Small bodies are
    counted and never held up.
    """

    def __init__(self, limits: Limits) -> None:
        self.bytes = 0
        self._bound_bytes = max(4 * limits.max_body_bytes, _LEAST_BOUND_BYTES)
        self._uploads: dict[Connection, int] = {}  # the bytes of each large body that is being received, the oldest first
        self._receiving_bytes = 0  # their sum
        self._may_go_on = sys.maxsize  # so many uploads, from the oldest on

    def count(self, connection: Connection, added_bytes: int, receiving_bytes: int) -> None:
        """``connection`` holds ``added_bytes`` more (fewer, below zero).

        ``receiving_bytes`` of what it holds are those of a body that still comes.
        """
        self.bytes += added_bytes
        uploads, before = self._uploads, self._uploads.get(connection, 0)
        upload_bytes = receiving_bytes if receiving_bytes > SMALL_BODY_BYTES else 0
        self._receiving_bytes += upload_bytes - before
        if upload_bytes:
            uploads[connection] = upload_bytes
        elif before:
            del uploads[connection]
        if self.bytes <= self._bound_bytes:
            may_go_on = sys.maxsize
        else:
            may_go_on = int(self.bytes - self._receiving_bytes <= self._bound_bytes)
        if may_go_on == self._may_go_on and bool(upload_bytes) == bool(before):
            return
        self._may_go_on = may_go_on
        for place, one in enumerate(uploads):
            one.hold_up(place >= may_go_on)


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
