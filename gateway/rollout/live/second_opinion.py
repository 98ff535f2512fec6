"""Second opinions: a request that failed on its own version is asked again of the other one, for few requests at a time.

A prediction changes nothing at the server, so it may be asked twice. But in an outage every request fails, and asking each of
them twice would double the load that caused it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.signature import ModelRef
from gateway.rollout.live.exposure import Exposure
from gateway.rollout.live.faults import Kind, kind_of
from gateway.rollout.live.running import Running
from gateway.rollout.plan import Arm
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("rollout")

LEAST: Final = 8
_PART_OF_IN_FLIGHT: Final = 10
LONGEST_S: Final = 5.0

Check: TypeAlias = Callable[[ModelRef, Deadline], Awaitable[object]]
"""Asks a version a request whose caller does not wait. Raises GatewayError, and NoOpinion."""


class NoOpinion(Exception):
    """Raised by a check when the other version cannot be asked the same."""


def most_of(max_in_flight: int) -> int:
    """How many second opinions there may be at a time, if a worker handles ``max_in_flight`` requests at a time."""
    return max(LEAST, max_in_flight // _PART_OF_IN_FLIGHT)


class SecondOpinions:
    """Those that are under way, at most ``most``: of callers who wait, and in tasks of their own. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waited_for = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self, *, is_checked: bool = True) -> bool:
        """Whether another one may begin. Those that are not evidence leave half of the room to those that are."""
        return self._waited_for + len(self._tasks) < (self._most if is_checked else self._most // 2)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """A caller waits for one."""
        self._waited_for += 1
        try:
            yield
        finally:
            self._waited_for -= 1

    def check(
        self,
        running: Running,
        exposure: Exposure,
        check: Check,
        other: Arm,
        budget_s: float,
        *,
        without: Callable[[], None] | None = None,
    ) -> None:
        """Ask the version of the arm ``other`` a request that failed on its own one, and count what comes of it.

        It has ``budget_s`` seconds for that, and 5 at most. Without room for it, the fault counts as not checked. ``without``
        counts what that version cannot be asked; None: as not checked too.
        """
        model = running.plan.model
        if not self.has_room():
            count_opinion(model, "unchecked")
            exposure.unchecked()
            return
        deadline = Deadline.after(min(budget_s, LONGEST_S))
        self._start(_checked(model, exposure, check(running.check_ref(other), deadline), without or exposure.unchecked))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End those that no caller waits for."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _checked(model: str, exposure: Exposure, asked: Awaitable[object], without: Callable[[], None]) -> None:
    result, count = "unchecked", exposure.unchecked
    try:
        await asked
        result, count = "answered", exposure.failed
    except GatewayError as error:
        if kind_of(error) in (Kind.FAULT, Kind.REFUSAL):
            result, count = "failed", exposure.both_failed
    except NoOpinion:
        count = without
    except Exception:  # nobody waits for it, so nobody would tell
        log.exception("rollout.check_failed", model=model)
    count_opinion(model, result)
    count()


def count_opinion(model: str, result: str) -> None:
    """A fault was looked at: the other version ``answered``, ``failed`` too, or it is ``unchecked``."""
    metrics.ROLLOUT_SECOND_OPINIONS.labels(model, result).inc()
