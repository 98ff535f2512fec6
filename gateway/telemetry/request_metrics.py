"""What predictions add to the metrics, added up for a moment: under load each number is then written once for many requests."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import prometheus_client

from gateway.telemetry import metrics
from gateway.telemetry.soon import soon


class Labels(NamedTuple):
    """The labels of one model's metrics: its name, its version and the signature."""

    model: str
    version: str
    signature: str


class Prediction(NamedTuple):
    """One request for a prediction. ``backend_s`` is 0 without a call of the model server, ``rows`` 0 without an answer."""

    labels: Labels
    status: int
    total_s: float
    backend_s: float
    rows: int


class Tally:
    """Adds predictions to the metrics, and shows how many requests are in flight. For one event loop."""

    def __init__(self) -> None:
        self._pending: list[Prediction] = []
        self._in_flight = 0
        self._shown = 0  # of those in flight
        self._is_due = False

    def enter(self) -> None:
        """A request begins."""
        self._in_flight += 1
        self._write_soon()

    def leave(self) -> None:
        """A request ends."""
        self._in_flight -= 1
        self._write_soon()

    def add(self, prediction: Prediction) -> None:
        """Count ``prediction``."""
        self._pending.append(prediction)
        self._write_soon()

    def _write_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            soon(self.write)

    def write(self) -> None:
        """Count all that were added."""
        self._is_due = False
        if self._in_flight != self._shown:
            self._shown = self._in_flight
            metrics.IN_FLIGHT.set(self._shown)
        pending, self._pending = self._pending, []
        by_labels: dict[Labels, list[Prediction]] = {}
        for prediction in pending:
            by_labels.setdefault(prediction.labels, []).append(prediction)
        for labels, predictions in by_labels.items():
            _of_model(labels).count(predictions)


class _OfModel:
    """The metrics of one model, version and signature, looked up once."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._request_seconds = metrics.REQUEST_SECONDS.labels(*labels)
        self._backend_seconds = metrics.BACKEND_SECONDS.labels(*labels)
        self._rows = metrics.ROWS.labels(*labels)

    def count(self, predictions: list[Prediction]) -> None:
        """Add what these predictions add."""
        for status, number in Counter([prediction.status for prediction in predictions]).items():
            _requests(self._labels, status).inc(number)
        observe_all(self._request_seconds, [prediction.total_s for prediction in predictions])
        observe_all(self._backend_seconds, [prediction.backend_s for prediction in predictions if prediction.backend_s])
        rows = sum([prediction.rows for prediction in predictions])
        if rows:
            self._rows.inc(rows)


@lru_cache(maxsize=4096)
def _of_model(labels: Labels) -> _OfModel:
    return _OfModel(labels)


@lru_cache(maxsize=4096)
def _requests(labels: Labels, status: int) -> prometheus_client.Counter:
    return metrics.REQUESTS.labels(*labels, str(status))


def observe_all(histogram: prometheus_client.Histogram, amounts: list[float]) -> None:
    """``histogram.observe`` for each of ``amounts``, with one change of each number that changes."""
    if len(amounts) < 2:
        for amount in amounts:
            histogram.observe(amount)
        return
    histogram._sum.inc(sum(amounts))
    for bucket, number in _counted(histogram._upper_bounds, amounts):
        histogram._buckets[bucket].inc(number)


def _counted(upper_bounds: list[float], amounts: list[float]) -> Iterable[tuple[int, int]]:
    return Counter([bisect_left(upper_bounds, amount) for amount in amounts]).items()
