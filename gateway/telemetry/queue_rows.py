"""How many rows wait, shown in the metrics as long as any do."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from gateway.telemetry.metrics import QUEUE_ROWS

_SHOWN_EVERY_S: Final = 0.1


class QueueRows:
    """Shows what ``waiting`` counts: rows by model, without the models of which none wait. For one event loop.

    A request only looks whether the next showing is due already, so that the metric is written ten times a second at most.
    """

    def __init__(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        self._waiting = waiting
        self._shown: Mapping[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Something waits: show it from now on, until nothing does any more."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SHOWN_EVERY_S, self._show)

    def close(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write({})

    def _show(self) -> None:
        self._timer = None
        waiting = self._waiting()
        self._write(waiting)
        if waiting:
            self.watch()

    def _write(self, waiting: Mapping[str, int]) -> None:
        for model in self._shown.keys() | waiting.keys():
            if self._shown.get(model) != waiting.get(model):
                QUEUE_ROWS.labels(model).set(waiting.get(model, 0))
        self._shown = waiting
