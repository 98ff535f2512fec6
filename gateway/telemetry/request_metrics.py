"""What requests add to the metrics, added up for a moment: under load each number is then written once for many requests."""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import prometheus_client

from gateway.errors import Setting
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger
from gateway.telemetry.soon import soon

log = logger("request")

_TELL_S: Final = 1.0
_MOST_KEYS: Final = 100
_OTHER_KEYS: Final = "(other)"  # no key has such a name


class Labels(NamedTuple):
    """The labels of one model's metrics: its name, its version and the signature."""

    model: str
    version: str
    signature: str


UNKNOWN: Final = Labels("", "", "")
"""Those of a request for what the catalog does not know."""


class Prediction(NamedTuple):
    """One request for a prediction. ``backend_s`` is 0 without a call of the model server, ``rows`` 0 without an answer."""

    labels: Labels
    status: int
    total_s: float
    backend_s: float
    rows: int


class RequestMetrics:
    """Adds requests to the metrics, and shows how many are in flight. For one event loop.

    Refusals are requests that no handler sees, such as under overload. They are logged together, at most once a second.
    """

    def __init__(self) -> None:
        self._predictions: list[Prediction] = []
        self._by_key: Counter[tuple[str, int]] = Counter()
        self._shown_keys: set[str] = set()
        self._in_flight = 0
        self._shown_in_flight = 0
        self._key_checks: list[str] = []
        self.add_key_check: Callable[[str], None] = self._key_checks.append
        """Count a key that was looked at, with what came of it. ``enter`` was called before, which has all written soon."""
        self._refused = 0
        self._unlogged: Counter[Setting | None] = Counter()
        self._logged_s = float("-inf")
        self._is_due = False
        self._log_is_due = False

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
        self._predictions.append(prediction)
        self._write_soon()

    def add_key(self, name: str, status: int) -> None:
        """Count a request that came with the key ``name`` and was answered with HTTP ``status``."""
        self._by_key[name, status] += 1
        self._write_soon()

    def refuse(self, setting: Setting | None) -> None:
        """Count a refusal, which ``setting`` decided."""
        self._refused += 1
        self._unlogged[setting] += 1
        self._write_soon()

    def close(self) -> None:
        """Write and log what is still to be."""
        self.write()
        self._log_refusals()

    def _write_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            soon(self.write)

    def write(self) -> None:
        """Write all that was counted."""
        self._is_due = False
        if self._in_flight != self._shown_in_flight:
            self._shown_in_flight = self._in_flight
            metrics.IN_FLIGHT.set(self._in_flight)
        if self._refused:
            self._write_refusals()
        if self._by_key:
            self._write_keys()
        for result, number in Counter(self._key_checks).items():
            metrics.AUTH.labels(result).inc(number)
        self._key_checks.clear()
        predictions, self._predictions = self._predictions, []
        by_labels: dict[Labels, list[Prediction]] = {}
        for prediction in predictions:
            by_labels.setdefault(prediction.labels, []).append(prediction)
        for labels, some in by_labels.items():
            _write_predictions(labels, some)

    def _write_keys(self) -> None:
        for (name, status), number in self._by_key.items():
            if len(self._shown_keys) < _MOST_KEYS:
                self._shown_keys.add(name)
            shown = name if name in self._shown_keys else _OTHER_KEYS
            metrics.KEY_REQUESTS.labels(shown, str(status)).inc(number)
        self._by_key.clear()

    def _write_refusals(self) -> None:
        metrics.REFUSALS.inc(self._refused)
        self._refused = 0
        left_s = self._logged_s + _TELL_S - time.monotonic()
        if left_s <= 0:
            self._log_refusals()
        elif not self._log_is_due:
            self._log_is_due = True
            asyncio.get_running_loop().call_later(left_s, self._log_refusals)

    def _log_refusals(self) -> None:
        self._log_is_due = False
        self._logged_s = time.monotonic()
        for setting, count in self._unlogged.items():
            log.warning("requests.refused", count=count, **(setting.as_fields() if setting else {}))
        self._unlogged.clear()


def _write_predictions(labels: Labels, predictions: list[Prediction]) -> None:
    request_seconds, backend_seconds, row_count = _of_model(labels)
    for status, number in Counter([prediction.status for prediction in predictions]).items():
        _requests(labels, status).inc(number)
    observe_all(request_seconds, [prediction.total_s for prediction in predictions])
    observe_all(backend_seconds, [prediction.backend_s for prediction in predictions if prediction.backend_s])
    rows = sum([prediction.rows for prediction in predictions])
    if rows:
        row_count.inc(rows)


@lru_cache(maxsize=4096)
def _of_model(labels: Labels) -> tuple[prometheus_client.Histogram, prometheus_client.Histogram, prometheus_client.Counter]:
    return metrics.REQUEST_SECONDS.labels(*labels), metrics.BACKEND_SECONDS.labels(*labels), metrics.ROWS.labels(*labels)


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
    for bucket, number in Counter([bisect_left(histogram._upper_bounds, amount) for amount in amounts]).items():
        histogram._buckets[bucket].inc(number)
