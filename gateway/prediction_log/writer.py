"""The thread of one worker that writes the rows of its queue to the sink, and tries again until it can.

While the sink is away, rows wait in the queue, and those that find it full are dropped and counted.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.prediction_log.entry import Entry
from gateway.prediction_log.queue import RowQueue
from gateway.prediction_log.retention import Retention
from gateway.prediction_log.row import Row
from gateway.prediction_log.sinks.sink import Sink, SinkAway
from gateway.prediction_log.tally import Tally
from gateway.telemetry.logs import logger

log = logger("prediction_log")

FLUSH_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_LOSS_TOLD_S: Final = 10.0


class Writer:
    """Takes from ``queue``, writes to ``sink`` and counts in ``tallies``."""

    def __init__(self, sink: Sink, queue: RowQueue, tallies: Mapping[type[Row], Tally], retention: Retention) -> None:
        self._sink = sink
        self._queue = queue
        self._tallies = tallies
        self._retention = retention
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._is_stopping = threading.Event()
        self._is_abandoned = threading.Event()
        self._count_lock = threading.Lock()
        self._away_since_s: float | None = None
        self._told_s = float("-inf")
        self._told_full = 0
        self._last_error = ""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, within_s: float) -> None:
        """Write what is queued, for at most ``within_s`` seconds. What is left then counts as dropped."""
        self._is_stopping.set()
        self._queue.wake()
        if self._thread.is_alive():
            self._thread.join(within_s)
        with self._count_lock:
            self._is_abandoned.set()
            for tally in self._tallies.values():
                tally.stopped += tally.queued
        lost = self._sum("stopped") + self._sum("full") - self._told_full
        if lost:
            log.warning("prediction_log.stopped", sink=self._sink.name, lost=lost)

    def _run(self) -> None:
        self._deliver([])  # a sink that is away is logged at the start
        while not self._is_stopping.is_set():
            self._queue.wait(FLUSH_S)
            self._flush()
            self._retention.purge_some(self._sink)
        self._flush()
        self._sink.close()

    def _flush(self) -> None:
        while batch := self._queue.take():
            refused = self._sum("refused")
            self._deliver([row for row in map(self._completed, batch) if row is not None])
            self._queue.done(batch)
            refused = self._sum("refused") - refused
            if refused:
                # The error's own words may hold a value of the row.
                log.error("prediction_log.refused", sink=self._sink.name, rows=refused, error=self._last_error)

    def _deliver(self, rows: Sequence[Row]) -> None:
        """Write ``rows``, as often as it takes. Of rows that the sink does not take only those at fault are given up."""
        pause_s = _FIRST_PAUSE_S
        while not self._is_abandoned.is_set() and (rows or not self._is_stopping.is_set()):
            try:
                self._sink.write(rows)
            except SinkAway as away:
                self._note_away(away)
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - it is logged with the batch
                self._give_up(rows, error)
                return
            else:
                self._count("written", rows)
                self._note_written()
                return

    def _completed(self, entry: Entry) -> Row | None:
        try:
            return entry.complete()
        except Exception as error:  # noqa: BLE001 - it is logged with the batch
            self._give_up([entry.row], error)
            return None

    def _give_up(self, rows: Sequence[Row], error: Exception) -> None:
        middle = len(rows) // 2
        if middle:
            self._deliver(rows[:middle])
            self._deliver(rows[middle:])
        else:
            self._last_error = type(error).__name__
            self._count("refused", rows)

    def _sum(self, outcome: str) -> int:
        return sum(getattr(tally, outcome) for tally in self._tallies.values())

    def _count(self, outcome: str, rows: Sequence[Row]) -> None:
        with self._count_lock:
            if self._is_abandoned.is_set():
                return  # they count as dropped already
            for kind, tally in self._tallies.items():
                setattr(tally, outcome, getattr(tally, outcome) + sum(type(row) is kind for row in rows))

    def _pause(self, pause_s: float) -> None:
        if self._is_stopping.wait(pause_s):
            self._is_abandoned.wait(_FIRST_PAUSE_S)

    def _note_away(self, away: SinkAway) -> None:
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
            log.warning("prediction_log.away", sink=self._sink.name, reason=str(away))

    def _note_written(self) -> None:
        """Log what was lost: at once after the sink was away, and from time to time if it is too slow."""
        now_s = time.monotonic()
        full = self._sum("full")
        lost = full - self._told_full
        if self._away_since_s is not None:
            log.warning("prediction_log.back", sink=self._sink.name, lost=lost, away_s=round(now_s - self._away_since_s, 3))
        elif lost and now_s >= self._told_s + _LOSS_TOLD_S:
            log.warning("prediction_log.full", sink=self._sink.name, lost=lost)
        else:
            return
        self._away_since_s, self._told_full, self._told_s = None, full, now_s
