"""The event loop of a process whose WSGI server has none: it runs in a thread."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_pid = 0


def _running() -> asyncio.AbstractEventLoop:
    """The loop of this process, which starts with the first use; a forked process starts another.

    It is never closed: a thread of gRPC calls into every loop that it has seen.
    """
    global _loop, _pid  # noqa: PLW0603 - a process has one
    with _lock:
        if _loop is None or _pid != os.getpid():
            _pid = os.getpid()
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="loop", daemon=True).start()
        return _loop


class LoopThread:
    """Runs the coroutines of an application on the loop of this process, for other threads.

    ``start`` is called there before the first of them, once in each process, and ``close`` by ``close``.
    """

    def __init__(self, start: Callable[[], Coroutine[Any, Any, None]], close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._start = start
        self._close = close
        self._lock = threading.Lock()
        self._pid = 0

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for what ``work`` returns, or raise what it raises."""
        loop = _running()
        with self._lock:
            if self._pid != os.getpid():
                asyncio.run_coroutine_threadsafe(self._start(), loop).result()
                self._pid = os.getpid()
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def close(self) -> None:
        """End what ``start`` began in this process."""
        if self._pid == os.getpid():
            asyncio.run_coroutine_threadsafe(self._close(), _running()).result()
            self._pid = 0
