"""Work that a plan needs and that takes time: it runs beside the follower, which never waits for it."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable
from typing import Any

from gateway.telemetry.logs import logger

log = logger("rollout")


class Jobs:
    """Tasks by a key, at most one of each key at a time. For one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def start(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin ``work``; False if the last one of this key has not ended yet. An error of it is logged."""
        if self.is_running(key):
            return False
        task = asyncio.get_running_loop().create_task(_logged(key, work), name=f"rollout {key}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key) if self._tasks.get(key) is task else None)
        return True

    def is_running(self, key: Hashable) -> bool:
        """Whether work of this key has begun and not ended."""
        return key in self._tasks

    def cancel_all_but(self, keys: Collection[Hashable]) -> None:
        """End the work of all other keys."""
        for key in self._tasks.keys() - set(keys):
            self._tasks[key].cancel()

    async def close(self) -> None:
        """End all work, and wait until it has ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _logged(key: Hashable, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except Exception:
        log.exception("rollout.work_failed", work=str(key))
