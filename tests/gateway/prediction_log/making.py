"""Requests and logs of the tests."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import FeedbackRow, PredictionRow, Row
from gateway.prediction_log.rules import Rules
from gateway.prediction_log.sinks.sink import Filter, SinkAway

FEATURES = {"features": np.arange(10, dtype=np.float32).reshape(1, 10)}
PREDICTION = {"prediction": np.array([[4.25]], np.float32)}


def a_row(**changes: Any) -> PredictionRow:
    plain: dict[str, Any] = {
        "request_id": "r-1",
        "model": "digits",
        "version": 3,
        "signature": "serving_default",
        "dialect": "simple",
        "status": 200,
        "total_us": 3200,
        "bytes_in": 100,
        "bytes_out": 50,
    }
    return PredictionRow(**plain | changes)


def a_label(**changes: Any) -> FeedbackRow:
    plain = {"request_id": "r-1", "row": 0, "label": "7", "source": "anna"}
    return FeedbackRow(**plain | changes)


def random_id() -> str:
    return f"{random.getrandbits(128):032x}"


def offer(log: PredictionLog, request_id: str = "", *, inputs: Any = FEATURES, outputs: Any = PREDICTION, **row: Any) -> str:
    """Offer the request ``request_id``, by default one of its own. Returns its id."""
    request_id = request_id or random_id()
    facts = a_row(request_id=request_id, **row)
    log.offer(request_id, facts.model, facts.status, lambda: (facts, inputs, outputs))
    return request_id


class ListSink:
    """Keeps rows in a list, unless it is told to be away or to dislike some of them."""

    name = "list"

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.is_away = False
        self.disliked: set[str] = set()
        self.attempts = 0
        self.purged: list[int] = []
        self.keeps_old_rows = False

    def write(self, rows: Sequence[Row]) -> None:
        self.attempts += 1
        if self.is_away:
            raise SinkAway("it is away")
        if any(row.request_id in self.disliked for row in rows):
            raise ValueError("a value of a row")
        self.rows += rows

    def purge(self, before_us: int) -> int:
        self.purged.append(before_us)
        if self.keeps_old_rows:
            raise SinkAway("must not delete")
        return 0

    def read(self, kind: type[Row], where: Filter) -> Any:
        raise NotImplementedError

    runs: Any = read

    def close(self) -> None:
        pass


def a_log(sink: Any, rules: Rules | None = None, **changes: Any) -> PredictionLog:
    return PredictionLog(sink, rules or Rules(), **changes)


def is_exact(log: PredictionLog) -> bool:
    """Whether all rows are accounted for, and only what is in the queue counts as queued."""
    tallies = (log.predictions, log.feedbacks)
    queued = sum(tally.queued for tally in tallies)
    return (queued, queued > 0) == (len(log._queue), log._queue.bytes > 0) and all(
        tally.offered == tally.kept + tally.unsampled
        and tally.kept == tally.written + sum(tally.dropped.values()) + tally.queued
        for tally in tallies
    )
