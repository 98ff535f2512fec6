"""Follows the server's models: asks for the status of each again and again, and at once when something has changed.

Each model is asked about by itself. A slow reply, or an error, is about that model only, and what was known of it stays known:
readiness does not drop because the server is busy. Two things make a model not ready although the server said nothing
about it: the server cannot be reached, or it has answered no call, of any model, for ``_SILENT_S`` seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final

from gateway.backend.asked import Asked
from gateway.backend.known_models import KnownModels
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, NotFound, ResourceExhausted, Unavailable
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus
from gateway.telemetry.logs import logger

log = logger("catalog")

LEAST_S: Final = 0.05  # the least time between two polls
_ANSWER_S: Final = 2.0  # the most that a look at a model may take
_SILENT_S: Final = 10.0
_SILENT: Final = f"the model server has answered no call for {_SILENT_S:.0f} s"
_FIRST_S: Final = 1.0  # the most that a start waits for the first look at all models
_AT_ONCE: Final = 16  # models asked about at a time
_LOOK_S: Final = 0.004
"""For each model so much time is between two polls: a look takes 0.4 ms of the loop that requests wait for."""

# While the server is away a poll costs next to nothing, and its return should be noticed soon.
_AWAY_POLL_S: Final = 0.25
# These say that the server is busy, and nothing about the model.
_NO_NEWS: Final = (DeadlineExceeded, ResourceExhausted, Unavailable)


class Poll:
    """The task that asks. ``read`` asks for a version's signatures, so that no request has to wait for those of a new one."""

    def __init__(
        self,
        client: Asked,
        known: KnownModels,
        interval_s: float,
        read: Callable[[ModelRef, Deadline], Awaitable[object]],
    ) -> None:
        self._client = client
        self._known = known
        self._interval_s = interval_s
        self._read = read
        self._is_due = asyncio.Event()
        self._under_way: set[str] = set()
        self._asked: set[str] = set()  # about what, until all have been asked about
        self._has_asked = asyncio.Event()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll, on the running event loop."""
        self._client.on_change(self.poll_soon)
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="catalog")

    async def first_look(self) -> None:
        """Wait until each model has been asked about once: for a second at most, and not for a server that is away."""
        if self._known.statuses():
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_S):
                    await self._has_asked.wait()

    async def close(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def poll_soon(self) -> None:
        """Look at all models without waiting for the interval to end."""
        self._is_due.set()

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as looks:
            while True:
                with _errors_logged():
                    self._look(looks)
                await asyncio.sleep(LEAST_S)
                interval_s = max(self._interval_s, _LOOK_S * len(self._known.statuses()))
                if not self._client.is_connected:
                    interval_s = min(_AWAY_POLL_S, self._interval_s)
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval_s):
                        await self._is_due.wait()
                self._is_due.clear()

    def _look(self, looks: asyncio.TaskGroup) -> None:
        """Begin to look at each model at which no look is under way: a slow one does not hold up the others."""
        self._known.follow_configured()
        names = [status.name for status in self._known.statuses()]
        # While the server is away, a look at one model is enough for all.
        for name in names if self._client.is_connected else names[:1]:
            if name not in self._under_way:
                self._under_way.add(name)
                looks.create_task(self._look_in_turn(name))

    async def _look_in_turn(self, name: str) -> None:
        try:
            async with self._places:
                with _errors_logged():
                    await self._look_at(name)
        finally:
            self._under_way.discard(name)
            if not self._has_asked.is_set():
                self._note_asked(name)

    def _note_asked(self, name: str) -> None:
        self._asked.add(name)
        if not self._client.is_connected or all(status.name in self._asked for status in self._known.statuses()):
            self._has_asked.set()

    async def _look_at(self, name: str) -> None:
        deadline = Deadline.after(_ANSWER_S)
        try:
            status = await self._client.status(ModelRef(name), deadline)
        except NotFound as error:
            status = ModelStatus(name, problem=error.message)
        except GatewayError as error:
            self._note_no_status(name, error)
            return
        newest = status.available[:1]
        if newest and newest[0] not in [served.version for served in self._known.versions(name)]:
            try:
                await self._read(ModelRef(name, newest[0]), deadline)
            except GatewayError as error:
                # The version is served or not, whether its signatures were read or not; the next poll tries again.
                log.info("version.not_read", model=name, version=newest[0], reason=error.message)
        self._known.note_status(status)

    def _note_no_status(self, name: str, error: GatewayError) -> None:
        if isinstance(error, Unavailable) and not self._client.is_connected:
            self._known.note_away()
        elif not isinstance(error, _NO_NEWS):
            self._known.note_problem(name, error.message)
        elif monotonic() - self._client.answered_s > _SILENT_S:
            self._known.note_problem(name, _SILENT)
        elif not self._known.status(name).versions:
            self._known.note_problem(name, error.message)


@contextmanager
def _errors_logged() -> Iterator[None]:
    """Whatever one look brought, the poll goes on."""
    try:
        yield
    except Exception:
        log.exception("catalog.poll_failed")
