"""The prediction log on an event loop: started, shown in the metrics, closed."""

import asyncio
from typing import Final

from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import FeedbackRow, PredictionRow
from gateway.prediction_log.tally import Tally
from gateway.telemetry import metrics

_SHOWN_EVERY_S: Final = 1.0
_QUEUED: Final = "queued"


class RunningLog:
    """Runs ``log``, and adds what it has counted to the metrics once a second. For one event loop.

    The counts of a moment fit together: kept = written + dropped + queued, whatever the thread of the writer does meanwhile.
    """

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._tallies = {PredictionRow.TABLE: log.predictions, FeedbackRow.TABLE: log.feedbacks}
        self._shown: dict[tuple[str, str], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to write, on the event loop that runs here."""
        self._log.start()
        self._show_from_now_on()

    async def close(self) -> None:
        """Write what is queued, for some seconds. No request may be in flight any more."""
        try:
            await asyncio.to_thread(self._log.close)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._show()

    def _show_from_now_on(self) -> None:
        self._show()
        self._timer = asyncio.get_running_loop().call_later(_SHOWN_EVERY_S, self._show_from_now_on)

    def _show(self) -> None:
        for table, tally in self._tallies.items():
            for outcome, count in _counts(tally).items():
                shown = self._shown.get((table, outcome))
                if count == shown:
                    continue
                self._shown[table, outcome] = count
                if outcome == _QUEUED:
                    metrics.LOG_QUEUED_ROWS.labels(table).set(count)
                else:
                    # The first time this may be 0, so that each outcome is there from the start.
                    metrics.LOG_ROWS.labels(table, outcome).inc(count - (shown or 0))


def _counts(tally: Tally) -> dict[str, int]:
    """The rows by what became of them. Those of which that was not known yet when they were read count as queued."""
    ended = {"written": tally.written} | {f"dropped_{reason}": count for reason, count in tally.dropped.items()}
    kept, unsampled = tally.kept, tally.unsampled
    return {"offered": kept + unsampled, "unsampled": unsampled, "kept": kept, **ended, _QUEUED: kept - sum(ended.values())}
