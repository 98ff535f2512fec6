"""Tests of async code: each runs on an event loop of its own, the one that the workers run, and leaves nothing behind."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, TypeVar

import uvloop

Value = TypeVar("Value")


class CountingThreads(ThreadPoolExecutor):
    """Threads for an event loop, and how often one was ``asked`` for."""

    asked = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Count it, and do it."""
        self.asked += 1
        return super().submit(*args, **kwargs)


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The async ``test`` as a plain one. It fails also for what would only be logged, such as an error that nobody awaited."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
            runner.run(test(*args, **kwargs))
            gc.collect()
        told = [complaint for complaint in complaints if not _is_of_an_earlier_loop(complaint)]
        assert not told, told

    return run


def _is_of_an_earlier_loop(complaint: dict[str, Any]) -> bool:
    """Whether gRPC had an event left for the closed loop of another test: it has one queue of events for a whole process."""
    return "PollerCompletionQueue" in complaint["message"] and str(complaint.get("exception")) == "Event loop is closed"


async def until(condition: Callable[[], Value | Awaitable[Value]], timeout_s: float = 20.0) -> Value:
    """The first true value of ``condition``, which may be async; AssertionError when none comes in time."""
    until_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < until_s, f"not within {timeout_s} s: {condition}"
        await asyncio.sleep(0.002)
