"""One task makes a call, and all tasks that ask the same while it is under way get its outcome.

The call belongs to the task that makes it. When that task is cancelled or runs out of time, the call is abandoned, and the
first of the tasks that wait for it makes the next one: no task fails because another one was cancelled. For one event loop.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded

Result = TypeVar("Result")


class Abandoned(Exception):
    """Raised in each task that waits for a call which ended without an outcome: its caller was cancelled or timed out."""


class SharedCall(Generic[Result]):
    """A call under way. ``waiting`` counts the tasks that wait for its outcome."""

    def __init__(self) -> None:
        # An error is the future's result and not its exception, which asyncio would log if no task waited for it.
        self.future: asyncio.Future[Result | Exception] = asyncio.get_running_loop().create_future()
        self.waiting = 0

    async def outcome(self, deadline: Deadline) -> Result:
        """The result of the call.

        Raises:
            Abandoned: the call ended without an outcome.
            DeadlineExceeded: the call did not end before ``deadline``.
            Exception: a copy of the error that the call raised.
        """
        await self.end(deadline)
        outcome = self.future.result()
        if isinstance(outcome, Exception):
            # Each task puts its own traceback on what it raises.
            raise copy.copy(outcome)
        return outcome

    async def end(self, deadline: Deadline) -> None:
        """Return when the call has ended, whatever came of it. Raises DeadlineExceeded when that is not before ``deadline``."""
        self.waiting += 1
        try:
            # Unlike wait_for, this leaves the future alone when this task is cancelled or its time is up.
            done, _ = await asyncio.wait((self.future,), timeout=deadline.remaining_s())
        finally:
            self.waiting -= 1
        if not done:
            raise deadline.exceeded()


class SingleFlight(Generic[Result]):
    """The calls under way, by what they ask."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, SharedCall[Result]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """How many tasks wait for the calls of others."""
        return sum(call.waiting for call in self._calls.values())

    def get(self, key: Hashable) -> SharedCall[Result] | None:
        """The call under way that asks ``key``."""
        return self._calls.get(key)

    async def lead(self, key: Hashable, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make ``call``, which asks ``key``, for all tasks that ask the same until it ends. No such call may be under way.

        Raises whatever ``call`` raises.
        """
        shared = self._calls[key] = SharedCall()
        outcome: Result | Exception = Abandoned()
        try:
            outcome = await call()
        except DeadlineExceeded:
            raise
        except Exception as error:
            outcome = copy.copy(error)
            raise
        finally:
            del self._calls[key]
            shared.future.set_result(outcome)
        return outcome

    async def ask(self, key: Hashable, deadline: Deadline, call: Callable[[], Awaitable[Result]]) -> Result:
        """The outcome of the call under way that asks ``key``, or of ``call`` when there is none.

        Raises:
            DeadlineExceeded: the call of another did not end before ``deadline``.
            Exception: whatever the call raises.
        """
        while (shared := self._calls.get(key)) is not None:
            with suppress(Abandoned):
                return await shared.outcome(deadline)
        return await self.lead(key, call)

    async def ask_anew(self, key: Hashable, deadline: Deadline, call: Callable[[], Awaitable[Result]]) -> Result:
        """The outcome of a call that begins no earlier than now. Raises as ``ask``.

        A call that is under way may have been answered already, so this waits for its end and asks again.
        """
        if key in self._calls:
            await self._calls[key].end(deadline)
        return await self.ask(key, deadline, call)
