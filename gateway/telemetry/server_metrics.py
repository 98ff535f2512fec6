"""The metrics of the model servers by address, of 64 addresses at most over the life of a worker: others count together.

What happens is counted in plain numbers, and shown a few times a second, so that a call does not write a metric.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from gateway.telemetry import metrics

MOST: Final = 64
OTHER: Final = "other"


class Counted(Protocol):
    """A model server: the rows of its calls in flight, and the calls that ended since they were shown, by status."""

    address: str
    rows: int
    calls: dict[str, int]


C = TypeVar("C", bound=Counted)


class ServerMetrics:
    """Shows what is counted of the servers of one worker. For one event loop."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._shown: dict[str, tuple[int, float]] = {}

    def begin(self, address: str) -> None:
        """There is a server at ``address``."""
        if address not in self._labels:
            self._labels[address] = label = address if len(self._labels) < MOST else OTHER
            metrics.begin_server(label)

    def note_ejection(self, address: str) -> None:
        """It is left out for a while."""
        metrics.SERVER_EJECTIONS.labels(self._labels[address]).inc()

    def show(self, servers: Sequence[C], is_in_rotation: Callable[[C], bool]) -> None:
        """Show what was counted of ``servers``, which are all that there are; their calls are counted from 0 again."""
        now: dict[str, tuple[int, float]] = {}
        for server in servers:
            label = self._labels[server.address]
            rows, rotates = now.get(label, (0, 1.0))
            now[label] = (rows + server.rows, min(rotates, float(is_in_rotation(server))))
            if server.calls:
                for status, count in server.calls.items():
                    metrics.SERVER_CALLS.labels(label, status).inc(count)
                server.calls = {}
        for label, values in now.items():
            if self._shown.get(label) != values:
                _set(label, *values)
        for label in self._shown.keys() - now.keys():
            # A gauge of several workers cannot be taken back.
            _set(label, 0, math.nan)
        self._shown = now


def _set(label: str, rows: int, rotates: float) -> None:
    metrics.SERVER_ROWS.labels(label).set(rows)
    metrics.SERVER_IN_ROTATION.labels(label).set(rotates)
