"""Runs the comparisons of shared and lone calls beside the requests, two at a time."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

# Comparisons that one worker makes at a time.
MOST: Final = 2

Comparison: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Comparisons:
    """Comparisons under way, as tasks of the event loop, and those that wait for their turn. None of them may raise."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Comparison] = deque()
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether no comparison is under way or waits."""
        return not (self._tasks or self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a further comparison would have to wait."""
        return len(self._tasks) >= MOST

    def add(self, comparison: Comparison) -> None:
        """Run a comparison when it is its turn; never after ``close``."""
        self._waiting.append(comparison)
        self._start()

    async def close(self) -> None:
        """End the comparisons that are under way and forget the others."""
        self._is_closed = True
        self._waiting.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        while self._waiting and not self.is_busy and not self._is_closed:
            task = asyncio.get_running_loop().create_task(self._waiting.popleft()())
            self._tasks.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._start()
