"""Waiting for what another thread or request does. Nothing that handles a request waits in any other way.

A request is handled by a thread or, under the loop worker, by a greenlet: many of them share one thread, and while one waits
the others run. ``Signal`` and ``call`` serve both; what runs in a thread never notices that there are greenlets.
"""

import _thread
import heapq
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

Result = TypeVar("Result")

log = logging.getLogger("waiting")

# Blocking calls that the greenlets of one hub have under way at a time; more of them wait for one to end.
_CALLERS = 32

# Greenlets that a hub keeps for later: the stack of a new one is a mapping of memory, made and taken down for a single request.
_RUNNERS = 256

# Time limits that may be kept, those of what has come already included, before these are looked for.
_TIMERS = 1024


class _Here(threading.local):
    """The hub of the thread that asks, if it has one."""

    hub: "Hub | None" = None


_here = _Here()


class Signal:
    """Something that happens once. Any thread may set it; only who made it may wait for it."""

    __slots__ = ("_hub", "_is_set", "_lock", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: greenlet | None = None
        self._hub = _here.hub
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

    def _park(self, hub: "Hub", timeout_s: float) -> None:
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
    hub = _here.hub
    if hub is None:
        return function(*arguments, **named)
    return hub.call(function, *arguments, **named)


def here() -> "Hub | None":
    """The hub that runs the greenlets of this thread, if there is one."""
    return _here.hub


def when_idle(callback: Callable[[], None], within_s: float) -> None:
    """``Hub.when_idle`` of this thread's hub, or ``callback()`` at once where there is none."""
    hub = _here.hub
    if hub is None:
        callback()
    else:
        hub.when_idle(callback, within_s)


class Hub:
    """Runs the greenlets of one thread: all that is due now, then again when there is something.

    It belongs to the thread that enters it. ``soon`` may be called by any thread, the rest by its own.
    """

    def __init__(self) -> None:
        self._main = getcurrent()
        self._due: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Signal]] = []
        self._most_timers = _TIMERS  # above which those that nobody needs are sought
        self._order = itertools.count()
        self._when_idle: list[Callable[[], None]] = []
        self._runners: list[greenlet] = []  # those that have nothing to run
        self._idle_by_s = float("inf")
        self._is_asleep = False
        self._wakeup, self._waker = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._waker, False)
        self._callers = ThreadPoolExecutor(_CALLERS, "call")

    def __enter__(self) -> "Hub":
        self._main = getcurrent()
        _here.hub = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run_idle()
        _here.hub = None
        self._callers.shutdown(wait=False)
        os.close(self._wakeup)
        os.close(self._waker)

    def fileno(self) -> int:
        """Readable when ``soon`` was called while the thread slept."""
        return self._wakeup

    def spawn(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run a function in a greenlet, with a context of its own, until it waits or ends."""
        if self._runners:
            runner = self._runners.pop()
            runner.gr_context = None
        else:
            runner = greenlet(self._run, self._main)
            runner.switch()
        runner.switch(function, arguments)

    def _run(self) -> None:
        """Run one function after another. What one raises reaches the hub's thread and ends the greenlet.

        It gets none as its argument: that would be kept for as long as the greenlet.
        """
        while True:
            function, arguments = self._main.switch()
            function(*arguments)
            del function, arguments
            if len(self._runners) >= _RUNNERS:
                return
            self._runners.append(getcurrent())

    def soon(self, callback: Callable[[], None]) -> None:
        """Let the hub's thread call ``callback``, which must not wait."""
        self._due.append(callback)
        if self._is_asleep:
            self._is_asleep = False
            try:
                os.write(self._waker, b"\0")
            except OSError:  # full: it will wake up; or closed: it has ended
                return

    def when_idle(self, callback: Callable[[], None], within_s: float) -> None:
        """Call ``callback``, which must not wait, when there is nothing else to do or ``within_s`` seconds have passed."""
        self._when_idle.append(callback)
        self._idle_by_s = min(self._idle_by_s, time.monotonic() + within_s)

    def is_idle_work_overdue(self) -> bool:
        """Whether what waits for an idle moment has waited long enough."""
        return bool(self._when_idle) and time.monotonic() >= self._idle_by_s

    def run_idle(self) -> None:
        """Call what waits for an idle moment."""
        callbacks, self._when_idle = self._when_idle, []
        self._idle_by_s = float("inf")
        for callback in callbacks:
            try:
                callback()
            except Exception:  # what belongs to one request or to none must not end the loop of all
                log.exception("something put off until later failed")

    def run_due(self) -> None:
        """Call what ``soon`` brought until now, and let those go on whose time is up."""
        for _ in range(len(self._due)):
            self._due.popleft()()
        timers = self._timers
        while timers and (timers[0][0] <= time.monotonic() or not timers[0][2].is_awaited()):
            heapq.heappop(timers)[2].resume()

    def fall_asleep(self, longest_s: float) -> float:
        """How many seconds the thread may sleep now, at most ``longest_s``; from here on ``soon`` wakes it up."""
        self._is_asleep = True
        if self._due or self._when_idle:
            return 0.0
        if not self._timers:
            return longest_s
        return min(longest_s, max(0.0, self._timers[0][0] - time.monotonic()))

    def wake_up(self) -> None:
        """The thread is awake."""
        self._is_asleep = False

    def drain(self, _: object = None) -> None:
        """Read what made ``fileno`` readable."""
        try:
            os.read(self._wakeup, 1024)
        except BlockingIOError:
            return

    def park(self, signal: Signal, timeout_s: float) -> None:
        """Let others run until ``signal`` is resumed, at the latest in ``timeout_s`` seconds."""
        if getcurrent() is self._main:
            raise RuntimeError("the loop itself must not wait")
        timers = self._timers
        heapq.heappush(timers, (time.monotonic() + timeout_s, next(self._order), signal))
        if len(timers) > self._most_timers:
            # Of those whose signal came, behind one that is still awaited.
            timers[:] = [timer for timer in timers if timer[2].is_awaited()]
            heapq.heapify(timers)
            self._most_timers = max(_TIMERS, 2 * len(timers))
        self._main.switch()

    def call(self, function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """As the function of that name."""
        if getcurrent() is self._main:
            raise RuntimeError("the loop itself must not wait")
        signal = Signal()
        future = self._callers.submit(function, *arguments, **named)
        future.add_done_callback(lambda _: signal.set())
        # What is called has time limits of its own.
        while not signal.wait(60.0):
            pass
        return future.result()
