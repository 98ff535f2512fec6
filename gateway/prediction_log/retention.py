"""How long rows are kept. They are deleted in small parts between the batches, so that none has to wait for long."""

import time
from typing import Final

from gateway.durations import parse_duration
from gateway.prediction_log.sinks.sink import Sink, SinkAway
from gateway.telemetry.logs import logger

log = logger("prediction_log")

_MOST: Final = 999_999
_PAUSE_S: Final = 60.0


def parse_age(text: str) -> int:
    """The seconds of an age such as ``30d``, ``12h``, ``90m`` or ``45s``. Raises ValueError, which says what was expected."""
    seconds = parse_duration(text, _MOST)
    if not seconds:
        raise ValueError(f"{text!r}: expected a number up to {_MOST} and a unit, such as 30d, 12h, 90m or 45s")
    return seconds


def cutoff_us(keep_s: int) -> int:
    """The time before which rows are older than ``keep_s``, in microseconds since 1970."""
    return time.time_ns() // 1000 - keep_s * 1_000_000


class Retention:
    """Deletes the rows that are older than ``keep_s`` seconds; none if that is None."""

    def __init__(self, keep_s: int | None) -> None:
        self._keep_s = keep_s
        self._next_s = float("-inf")

    def purge_some(self, sink: Sink) -> None:
        """Delete one part of the old rows if it is time to; what a sink refuses is logged, and tried again in a minute."""
        if self._keep_s is None or time.monotonic() < self._next_s:
            return
        count = 0
        try:
            count = sink.purge(cutoff_us(self._keep_s))
        except SinkAway as away:
            log.warning("prediction_log.purge_failed", sink=sink.name, reason=str(away))
        if not count:
            self._next_s = time.monotonic() + _PAUSE_S
