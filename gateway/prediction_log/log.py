"""The prediction log of one worker: what a request does for it, and what becomes of its rows."""

import secrets
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVarTuple

from gateway.prediction_log import entry
from gateway.prediction_log.entry import Facts
from gateway.prediction_log.queue import RowQueue
from gateway.prediction_log.retention import Retention
from gateway.prediction_log.row import ROW_BYTES, FeedbackRow, PredictionRow, Row, bounded
from gateway.prediction_log.rules import Rules, is_kept
from gateway.prediction_log.sinks.sink import Sink
from gateway.prediction_log.tally import Tally
from gateway.prediction_log.writer import Writer
from gateway.telemetry.logs import logger

log = logger("prediction_log")

# Each row has two of the same few names. They are the clients' words, so that only some are remembered.
_bounded_name: Final = lru_cache(1024)(bounded)

Arguments = TypeVarTuple("Arguments")

MAX_BYTES: Final = 32 * 2**20
MAX_ROWS: Final = 50_000
CLOSE_WITHIN_S: Final = 5.0
_LARGEST_ROW: Final = 8  # in parts of the queue


class PredictionLog:
    """Keeps rows of predictions and feedback for ``sink``, in at most ``max_bytes`` of memory and ``max_rows`` at a time.

    It is started after the fork. ``offer`` and ``feedback`` are called by one thread, that of the event loop; they do no I/O
    and never wait. ``predictions`` and ``feedbacks`` are the counts of both tables, and may be read at any time.
    """

    def __init__(
        self,
        sink: Sink,
        rules: Rules,
        *,
        max_bytes: int = MAX_BYTES,
        max_rows: int = MAX_ROWS,
        keep_s: int | None = None,
    ) -> None:
        self.boot = secrets.token_hex(8)
        self.max_bytes = max_bytes
        self.predictions = Tally()
        self.feedbacks = Tally()
        self._rules = rules
        self._largest = max_bytes // _LARGEST_ROW
        self._queue = RowQueue(max_bytes, max_rows)
        tallies: dict[type[Row], Tally] = {PredictionRow: self.predictions, FeedbackRow: self.feedbacks}
        self._writer = Writer(sink, self._queue, tallies, Retention(keep_s))
        self._is_closed = False

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def offer(self, request_id: str, model: str, status: int, facts: Callable[[*Arguments], Facts], *args: *Arguments) -> None:
        """Keep the row of a request that was answered with HTTP ``status``, if its id is one of those that are kept.

        Only then ``facts`` is called, with ``args``. Nothing that it raises reaches the caller.
        """
        tally = self.predictions
        tally.offered += 1
        rule = self._rules.of(model)
        rate = rule.rate if status < 400 else rule.error_rate
        if rate < 1.0 and not is_kept(request_id, rate):
            tally.unsampled += 1
            return
        tally.kept += 1
        if self._is_closed or not self._queue.has_room(ROW_BYTES):
            self._drop(tally)
            return
        try:
            made = facts(*args)
            row = made[0]
            row.sample_rate = rate
            row.model, row.signature = _bounded_name(row.model), _bounded_name(row.signature)
            kept = entry.of_prediction(made, rule.values, self._largest)
            row.boot, row.seq, row.ts = self.boot, tally.kept, time.time_ns() // 1000
            if not self._queue.put(kept):
                self._drop(tally)
        except Exception:
            log.exception("prediction_log.failed", id=request_id)
            tally.failed += 1

    def feedback(self, row: FeedbackRow) -> bool:
        """Keep ``row``; return False if there is no room for it now."""
        tally = self.feedbacks
        tally.offered += 1
        tally.kept += 1
        row.boot, row.seq, row.ts = self.boot, tally.kept, time.time_ns() // 1000
        if self._is_closed or not self._queue.put(entry.of_feedback(row)):
            self._drop(tally)
            return False
        return True

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Write what is queued, for at most ``within_s`` seconds, and count the rest as dropped.

        It blocks its thread. No request may be in flight any more; later rows are counted as dropped.
        """
        self._is_closed = True
        self._writer.close(within_s)

    def _drop(self, tally: Tally) -> None:
        if self._is_closed:
            tally.stopped += 1
        else:
            tally.full += 1
