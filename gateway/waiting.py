"""Waiting for what another thread or request does. Nothing that handles a request waits in any other way.

A request is handled by a thread or, under the loop worker, by a greenlet: many of them share one thread, and while one waits
the others run. ``Signal`` and ``call`` serve both; what runs in a thread never notices that there are greenlets.
"""

import _thread
from collections.abc import Callable
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from gateway.hub import Hub, of_thread

Result = TypeVar("Result")


class Signal:
    """Something that happens once. Any thread may set it; only who made it may wait for it."""

    __slots__ = ("_hub", "_is_set", "_lock", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: greenlet | None = None
        self._hub = of_thread.hub
        if self._hub is None:
            self._lock = _thread.allocate_lock()
            self._lock.acquire()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def set(self) -> None:
        """Let it have happened; again changes nothing."""
        self._is_set = True
        if self._hub is None:
            _release(self._lock)
        elif self._waiter is not None:
            self._hub.soon(self.resume)

    def wait(self, timeout_s: float) -> bool:
        """Wait for it, at most ``timeout_s`` seconds; whether it has happened."""
        if not self._is_set and timeout_s > 0:
            if self._hub is None:
                if self._lock.acquire(timeout=timeout_s):
                    self._lock.release()
            else:
                self._park(self._hub, timeout_s)
        return self._is_set

    def resume(self) -> None:
        """For the hub: go on with who waits, if anyone does."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.switch()

    def is_awaited(self) -> bool:
        """For the hub: whether someone waits."""
        return self._waiter is not None

    def _park(self, hub: Hub, timeout_s: float) -> None:
        self._waiter = getcurrent()
        # Who sets it from now on sees the waiter; who set it before is seen here.
        if self._is_set:
            self._waiter = None
        else:
            hub.park(self, timeout_s)


def _release(lock: _thread.LockType) -> None:
    try:
        lock.release()
    except RuntimeError:
        # Set before: it is only locked until it happens.
        return


def call(function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """``function(*arguments, **named)``, which may block: while it does, other greenlets of this thread run."""
    hub = of_thread.hub
    if hub is None:
        return function(*arguments, **named)
    future = hub.submit(function, *arguments, **named)
    ended = Signal()
    future.add_done_callback(lambda _: ended.set())
    # What is called has time limits of its own.
    while not ended.wait(60.0):
        pass
    return future.result()


def here() -> Hub | None:
    """The hub that runs the greenlets of this thread, if there is one."""
    return of_thread.hub


def when_idle(callback: Callable[[], None], within_s: float) -> None:
    """``Hub.when_idle`` of this thread's hub, or ``callback()`` at once where there is none."""
    hub = of_thread.hub
    if hub is None:
        callback()
    else:
        hub.when_idle(callback, within_s)
