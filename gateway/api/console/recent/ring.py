"""The last ten minutes as one worker reads them from the recorder's lines, in a bounded amount of memory."""

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.api.console.recent.counts import WIDTH, Version
from gateway.api.console.recent.place import Place
from gateway.api.console.recent.tick import Row, Tick, tick_of
from gateway.telemetry.reading.numbers import Values

KEPT_S: Final = 600.0
_FULL: Final = 0.8
_MOVED_EVERY: Final = 4
_MOST_NAMES: Final = 50_000

Places = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int32]


class Ring:
    """The ticks of the last ``KEPT_S`` seconds. For one thread.

    - ``ticks``: the oldest first. ``number``: of the newest one, counted from the first that was ever read.
    - ``versions``: whatever had requests; the rows of a tick name them by their places here.
    """

    def __init__(self, place: Place) -> None:
        self._lines = place.reader()
        self.number = 0
        self._forget()

    def read(self) -> bool:
        """Read what is new. Returns whether anything is."""
        follows, lines = self._lines.read()
        if not follows or len(self.versions) > _MOST_NAMES:
            self._forget()
        before = self.number
        for line in lines:
            tick = tick_of(line)
            if tick is not None:
                self._add(tick)
        self._drop()
        return self.number != before

    @property
    def clock_s(self) -> float:
        """What Unix time is more than the time of the ticks."""
        return self.ticks[-1].clock_s if self.ticks else 0.0

    def rows(self, first: int) -> tuple[Places, Places, Numbers]:
        """The rows from the tick ``first`` of ``ticks`` on: how many ticks after it, of which version, and the numbers."""
        oldest = self.number - len(self.ticks) + 1
        start, end = np.searchsorted(self._tick[: self._used], (oldest + first, self.number + 1))
        return self._tick[start:end] - (oldest + first), self._version[start:end], self._numbers[start:end]

    def spans_s(self, first: int) -> Values:
        """How many seconds each tick from ``first`` on tells of."""
        return np.array([tick.span_s for tick in self.ticks[first:]])

    def times(self) -> Values:
        """When each tick was, in Unix time as the clock has it now."""
        return np.round([tick.at_s + self.clock_s for tick in self.ticks], 2)

    def _forget(self) -> None:
        self.ticks: list[Tick] = []
        self.versions: list[Version] = []
        self._places: dict[Version, int] = {}
        self._used = 0
        self._tick: Places = np.empty(0, np.int32)
        self._version: Places = np.empty(0, np.int32)
        self._numbers: Numbers = np.empty((0, WIDTH), np.int32)

    def _make_room(self, rows: int) -> None:
        used = self._used
        tick, version, numbers = np.empty(rows, np.int32), np.empty(rows, np.int32), np.empty((rows, WIDTH), np.int32)
        tick[:used], version[:used], numbers[:used] = self._tick[:used], self._version[:used], self._numbers[:used]
        self._tick, self._version, self._numbers = tick, version, numbers

    def _add(self, tick: Tick) -> None:
        self.number += 1
        rows = tick.rows or []
        if self._used + len(rows) > len(self._tick):
            self._drop()
            if self._used + len(rows) > _FULL * len(self._tick):
                self._make_room(int((self._used + len(rows)) / _FULL**2))
        end = self._used + len(rows)
        if rows:
            self._tick[self._used : end] = self.number
            self._version[self._used : end] = [self._place((model, version)) for model, version, _ in rows]
            self._numbers[self._used : end] = np.minimum([numbers for _, _, numbers in rows], np.iinfo(np.int32).max)
        self._used = end
        # The rows are in the arrays; of the tick itself only that they are known is kept.
        kept: list[Row] | None = None if tick.rows is None else []
        self.ticks.append(
            Tick(
                at_s=tick.at_s,
                clock_s=tick.clock_s,
                span_s=tick.span_s,
                grain_s=tick.grain_s,
                total=tick.total,
                counted=[],
                rows=kept,
                in_flight=tick.in_flight,
                queue_rows=tick.queue_rows,
            )
        )

    def _place(self, version: Version) -> int:
        place = self._places.get(version)
        if place is None:
            place = self._places[version] = len(self.versions)
            self.versions.append(version)
        return place

    def _drop(self) -> None:
        """Forget what is too old."""
        oldest_s = self.ticks[-1].at_s - KEPT_S if self.ticks else 0.0
        gone = next((place for place, tick in enumerate(self.ticks) if tick.at_s > oldest_s), len(self.ticks))
        if not gone:
            return
        del self.ticks[:gone]
        start = int(np.searchsorted(self._tick[: self._used], self.number - len(self.ticks) + 1))
        left = self._used - start
        if start > left // _MOVED_EVERY:  # seldom, so that it costs little
            for column in (self._tick, self._version, self._numbers):
                column[:left] = column[start : self._used]
            self._used = left
