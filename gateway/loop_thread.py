"""An event loop in a thread of its own, for servers of WSGI that have none."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for other threads. The loop starts when it is first used, and anew in a process that was forked since.

    ``start`` is called on it then, and ``close`` when it ends.
    """

    def __init__(self, start: Callable[[], None], close: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._close = close
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for what ``work`` returns, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def close(self) -> None:
        """End the loop, if it was used."""
        with self._lock:
            if self._loop is None or self._thread is None or self._pid != os.getpid():
                return
            asyncio.run_coroutine_threadsafe(_awaited(self._close), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="loop", daemon=True)
                self._thread.start()
                asyncio.run_coroutine_threadsafe(_called(self._start), loop).result()
            return self._loop


async def _called(start: Callable[[], None]) -> None:
    start()


async def _awaited(close: Callable[[], Awaitable[None]]) -> None:
    await close()
