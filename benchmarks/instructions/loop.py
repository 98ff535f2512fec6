"""The event loop under callgrind: uvloop, but work that is put off for 10 ms is done when the program says so.

Under callgrind everything takes some fifty times as long. 10 ms would be a time of few requests, of more or fewer by chance.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final, TypeVarTuple

import uvloop

Arguments = TypeVarTuple("Arguments")

# How long `gateway.telemetry.soon` puts work off, such as writing the log lines of a moment.
_SOON_S: Final = 0.01


class Loop(uvloop.Loop):
    """Work that is put off for 10 ms is done by ``do_waiting`` and only then."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Callable[[], object]] = []

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call ``callback`` in ``delay`` seconds. What is put off for 10 ms cannot be cancelled."""
        if delay != _SOON_S:
            return super().call_later(delay, callback, *args, context=context)
        self._waiting.append(lambda: callback(*args))
        return asyncio.TimerHandle(self.time() + delay, callback, args, self, context)

    def do_waiting(self) -> None:
        """Do what waits."""
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            work()
