"""Joins predictions with the feedback that was given for them."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from gateway.prediction_log.offline.tables.columns import JSON, TEXT, Column
from gateway.prediction_log.row import FeedbackRow, PredictionRow
from gateway.prediction_log.sinks.sink import Filter, Sink

# A database takes so many ids in one statement.
_CHUNK: Final = 1000
_MOST: Final = 2**63
_MOST_IN_DOUBLE: Final = 2**53
_LONG: Final = "long int64"  # a whole number that may be none that a double holds


class Labelled(NamedTuple):
    """A prediction, and the JSON text of the last label for each of its instances that has one."""

    row: PredictionRow
    labels: dict[int, str]


def with_labels(sink: Sink, rows: Iterable[PredictionRow]) -> Iterator[Labelled]:
    """``rows`` with their labels. Raises SinkAway."""
    waiting = iter(rows)
    while chunk := list(islice(waiting, _CHUNK)):
        labels: dict[str, dict[int, str]] = {}
        ids = frozenset(row.request_id for row in chunk)
        for feedback in sink.read(FeedbackRow, Filter(request_ids=ids)):
            labels.setdefault(feedback.request_id, {})[feedback.row] = feedback.label
        for row in chunk:
            yield Labelled(row, labels.get(row.request_id, {}))


class LabelKind:
    """Finds the type of the column ``label``: the one that all labels have, or else JSON text."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def see(self, label: str) -> None:
        """Take into account one more label."""
        self._kinds.add(_kind(json.loads(label)))

    @property
    def column(self) -> Column:
        """The column ``label``."""
        kinds = self._kinds
        if not kinds:
            return Column("label", JSON)
        if kinds <= {"int64", _LONG}:
            return Column("label", "int64")
        if kinds <= {"int64", "double"}:
            return Column("label", "double")
        return Column("label", kinds.copy().pop() if len(kinds) == 1 else JSON)


def label_value(label: str, kind: str) -> Any:
    """The label as a value of the column."""
    if kind == JSON:
        return label
    value = json.loads(label)
    return float(value) if kind == "double" else value


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() if -_MOST <= value < _MOST:
            return "int64" if abs(value) <= _MOST_IN_DOUBLE else _LONG
        case float():
            return "double"
        case str():
            return TEXT
        case _:
            return JSON
