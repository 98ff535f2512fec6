"""The hub of a thread: it runs the thread's greenlets, so that while one of them waits the others go on.

What a greenlet waits for is made in ``waiting``; a hub knows no more of it than ``Parked``.
"""

import heapq
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

from greenlet import getcurrent, greenlet

Result = TypeVar("Result")

log = logging.getLogger("waiting")

# Blocking calls that the greenlets of one hub have under way at a time; more of them wait for one to end.
_CALLERS = 32

# Greenlets that a hub keeps for later: the stack of a new one is a mapping of memory, made and taken down for a single request.
_RUNNERS = 256

# Time limits that may be kept, those of what has come already included, before these are looked for.
_TIMERS = 1024


class Parked(Protocol):
    """What a greenlet waits for, as the hub sees it."""

    def resume(self) -> None:
        """Go on with the greenlet that waits, if one does."""

    def is_awaited(self) -> bool:
        """Whether one waits."""


class _OfThread(threading.local):
    """The hub of the thread that asks, if it has one."""

    hub: "Hub | None" = None


of_thread: Final = _OfThread()


class Hub:
    """Runs the greenlets of one thread: all that is due now, then again when there is something.

    It belongs to the thread that enters it. ``soon`` may be called by any thread, the rest by its own.
    """

    def __init__(self) -> None:
        self._main = getcurrent()
        self._due: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Parked]] = []
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
        of_thread.hub = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run_idle()
        of_thread.hub = None
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

    def park(self, parked: Parked, timeout_s: float) -> None:
        """Let others run until ``parked`` is resumed, at the latest in ``timeout_s`` seconds."""
        if getcurrent() is self._main:
            raise RuntimeError("the loop itself must not wait")
        timers = self._timers
        heapq.heappush(timers, (time.monotonic() + timeout_s, next(self._order), parked))
        if len(timers) > self._most_timers:
            # Of those whose signal came, behind one that is still awaited.
            timers[:] = [timer for timer in timers if timer[2].is_awaited()]
            heapq.heapify(timers)
            self._most_timers = max(_TIMERS, 2 * len(timers))
        self._main.switch()

    def submit(self, function: Callable[..., Result], *arguments: Any, **named: Any) -> "Future[Result]":
        """Have ``function(*arguments, **named)``, which may block, called in another thread, for a greenlet to wait for."""
        if getcurrent() is self._main:
            raise RuntimeError("the loop itself must not wait")
        return self._callers.submit(function, *arguments, **named)
