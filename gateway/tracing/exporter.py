"""The thread of one worker that makes the spans of the requests that are kept, and gives them to the sink.

A sink that fails is left alone for a while. Meanwhile requests wait; those that find the queue full are dropped and counted.
"""

import threading
import time
from collections import deque
from typing import Final

from gateway.telemetry import metrics
from gateway.telemetry.exemplars import Exemplars
from gateway.telemetry.logs import logger
from gateway.telemetry.request_metrics import UNKNOWN, Labels
from gateway.tracing.finished import Sink
from gateway.tracing.record import Record
from gateway.tracing.spans import SpanMaker, is_settled
from gateway.tracing.tally import Tally

log = logger("traces")

MAX_WAITING: Final = 4096
BATCH: Final = 128  # requests, of some four spans each
_FLUSH_S: Final = 1.0
# A request whose calls or whose batch-mates have no end yet is waited for; so long at most, from its answer on.
_HOLD_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
# The event loop waits for this thread while that makes spans. So it makes a few at a time, and rests.
_AT_ONCE: Final = 16
_REST_S: Final = 0.0005


class Exporter:
    """Holds records, at most ``MAX_WAITING``, until ``sink`` has their spans. ``put`` is for one thread, and never waits.

    Predictions whose spans the sink has become ``exemplars``, if there are to be any.
    """

    def __init__(self, sink: Sink, server_address: str, server_port: int = 0, exemplars: Exemplars | None = None) -> None:
        self.tally = Tally()
        self._sink = sink
        self._server = server_address, server_port
        self._exemplars = exemplars
        self._waiting: deque[Record] = deque()
        self._held: list[Record] = []
        self._is_due = threading.Event()
        self._is_stopping = threading.Event()
        self._count_lock = threading.Lock()
        self._is_abandoned = False
        self._pause_s = 0.0
        self._shown: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    @property
    def has_room(self) -> bool:
        """Whether a record may be put in."""
        return len(self._waiting) < MAX_WAITING

    def put(self, record: Record) -> None:
        """Take ``record``, for which there must be room."""
        self._waiting.append(record)
        if len(self._waiting) >= BATCH and not self._is_due.is_set():
            self._is_due.set()

    def start(self) -> None:
        """Begin to export. No process may be forked afterwards."""
        self._maker = SpanMaker(time.time_ns() - int(time.monotonic() * 1e9), *self._server)
        self._show()
        self._thread.start()

    def close(self, within_s: float) -> None:
        """Export what waits, for at most ``within_s`` seconds. What is left then counts as dropped."""
        self._is_stopping.set()
        self._is_due.set()
        if self._thread.is_alive():
            self._thread.join(within_s)
        tally = self.tally
        with self._count_lock:
            self._is_abandoned = True
            tally.stopped += tally.waiting
        self._show()
        log.info("traces.closed", kept=tally.kept, exported=tally.exported, dropped=tally.dropped)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            self._is_due.wait(_FLUSH_S)
            self._is_due.clear()
            try:
                self._flush()
            except Exception:  # the thread must not end
                log.exception("traces.failed")
            self._show()
        self._flush(is_last=True)
        self._sink.close()

    def _flush(self, *, is_last: bool = False) -> None:
        while self._waiting or self._held:
            ready = self._ready(is_last=is_last)
            if not ready:
                return
            self._write(ready)
            self._show()
            if self._pause_s and not is_last:
                self._is_stopping.wait(self._pause_s)

    def _ready(self, *, is_last: bool) -> list[Record]:
        """Some of the records that may be exported. Those that may not yet are held, and looked at again the next time."""
        oldest_s = time.monotonic() - _HOLD_S
        some, self._held = self._held, []
        while self._waiting and len(some) < BATCH:
            some.append(self._waiting.popleft())
        ready: list[Record] = []
        for record in some:
            is_ready = is_last or record.ended_s < oldest_s or is_settled(record.span)
            (ready if is_ready else self._held).append(record)
        return ready

    def _write(self, records: list[Record]) -> None:
        spans: list[bytes] = []
        for number, record in enumerate(records, 1):
            spans += map(self._sink.encode, self._maker.make(record))
            if number % _AT_ONCE == 0 and not self._is_stopping.is_set():
                time.sleep(_REST_S)
        for record in records:
            record.span.forget_calls()  # each knows the request's span, too
        reason = self._sink.write(spans)
        with self._count_lock:
            if self._is_abandoned:
                return  # they count as dropped already
            if reason is None:
                self.tally.exported += len(records)
            else:
                self.tally.failed += len(records)
        if reason is None and self._exemplars is not None:
            _note_exemplars(self._exemplars, records)
        self._note(reason)

    def _note(self, reason: str | None) -> None:
        """After a failure the next attempt waits, twice as long as after the last."""
        if reason is None:
            if self._pause_s:
                log.warning("traces.back", sink=self._sink.name, dropped=self.tally.dropped)
            self._pause_s = 0.0
            return
        if not self._pause_s:
            log.warning("traces.away", sink=self._sink.name, reason=reason)
        self._pause_s = min(2 * self._pause_s or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)

    def _show(self) -> None:
        """Add to the metrics what was counted since the last time."""
        tally = self.tally
        for outcome, count in {"kept": tally.kept, "exported": tally.exported, **tally.dropped}.items():
            # The first time this may be 0, so that each is there from the start.
            metrics.of_traces(outcome).inc(count - self._shown.get(outcome, 0))
            self._shown[outcome] = count


def _note_exemplars(exemplars: Exemplars, records: list[Record]) -> None:
    # Of a bucket only the newest is written, and that is mostly the last.
    for record in reversed(records):
        if record.is_prediction:
            labels = Labels(record.model, str(record.version), record.signature) if record.model else UNKNOWN
            exemplars.note(labels, record.span.trace_id, record.ended_s - record.started_s, record.ended_s)
