"""Makes the ticks: reads the metrics of all workers, and writes what was counted since the tick before."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.api.console.recent.counts import Counts, Layout
from gateway.api.console.recent.place import Place
from gateway.api.console.recent.states import StateWriter
from gateway.api.console.recent.tick import MOST_MODELS, Row, Tick, grown, rows_between, tick_of, whole
from gateway.api.console.recent.trails import TrailWriter
from gateway.inference.status import ModelStatus
from gateway.telemetry.reading.numbers import Reader, Values

GRAIN_S: Final = 1.0
MOST_GRAIN_S: Final = 60.0
_PART: Final = 0.01  # of a processor
_JUDGED: Final = 5
_CLOCK_JUMP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Clocks:
    """``now``: seconds that never go back, the same in all processes. ``unix``: Unix time. ``used``: of this thread's work."""

    now: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time
    used: Callable[[], float] = time.thread_time


@dataclass(frozen=True, slots=True)
class _Before:
    """What the tick before was made of. ``counts``: None when another recorder made it."""

    at_s: float
    clock_s: float
    total: Values
    counts: Counts | None


class Ticking:
    """Makes one tick after the other, from where the lines in ``place`` end. For one thread at a time.

    A tick that finds no room, or cannot be read, raises OSError: what it would have told is told by the next one.
    """

    def __init__(self, reader: Reader, place: Place, clocks: Clocks) -> None:
        self._reader = reader
        self._place = place
        self._clocks = clocks
        self._layout = Layout()
        self._states = StateWriter(place)
        self._trails = TrailWriter(place)
        self._costs_s: deque[float] = deque(maxlen=_JUDGED)
        self._before = _last(place)

    def tick(self, models: Sequence[ModelStatus], plans: Mapping[str, str]) -> float:
        """Make a tick, with the models and the open plans as they are now. Returns in how many seconds the next one is due."""
        began_s = self._clocks.used()
        at_s = self._clocks.now()
        reading = self._reader.read()
        counts = self._layout.counts(reading)
        before = self._before or _Before(at_s, self._clock_s(at_s), counts.total, counts)
        now = _Before(at_s, self._clock_s(at_s), counts.total, counts)
        rows = None if before.counts is None else rows_between(before.counts, counts, frozenset(plans))
        if at_s > before.at_s:
            self._place.append(self._told(before, now, counts, rows).line())
        self._before = now
        self._states.note(models, at_s + now.clock_s)
        self._trails.note(at_s, plans, self._layout, reading, rows or [])
        self._costs_s.append(self._clocks.used() - began_s)
        return self._grain_s()

    def _told(self, before: _Before, now: _Before, counts: Counts, rows: list[Row] | None) -> Tick:
        waiting = sorted(counts.queue_rows.items(), key=lambda one: -one[1])[:MOST_MODELS]
        return Tick(
            at_s=now.at_s,
            clock_s=now.clock_s,
            span_s=now.at_s - before.at_s,
            grain_s=self._grain_s(),
            total=whole(grown(before.total, now.total)),
            counted=now.total.tolist(),
            rows=rows,
            in_flight=counts.in_flight,
            queue_rows=dict(waiting),
        )

    def _clock_s(self, at_s: float) -> float:
        """What Unix time is more. It stays the same but for a jump of the clock, so that the time of a tick stays too."""
        clock_s = self._clocks.unix() - self._clocks.now()
        known = None if self._before is None else self._before.clock_s
        return known if known is not None and abs(clock_s - known) < _CLOCK_JUMP_S else clock_s

    def _grain_s(self) -> float:
        """So long that the work takes one percent of it at most. The keys that are new once are no reason: the least counts."""
        least_s = min(self._costs_s, default=0.0)
        return round(min(MOST_GRAIN_S, max(GRAIN_S, least_s / _PART)), 2)


def _last(place: Place) -> _Before | None:
    """The newest of the lines there."""
    _, lines = place.reader().read()
    for line in reversed(lines):
        tick = tick_of(line)
        if tick is not None:
            return _Before(tick.at_s, tick.clock_s, np.array(tick.counted), None)
    return None
