"""Which columns of a reading of the metrics mean what, and what they say together: of each version, and of each rollout."""

import math
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.telemetry.metrics import SECONDS
from gateway.telemetry.reading.numbers import Key, Reading, Values

REQUESTS, FAILED, REFUSED, ROWS, FIRST_BUCKET = range(5)
BUCKETS: Final = len(SECONDS) + 1
WIDTH: Final = FIRST_BUCKET + BUCKETS
"""The numbers of a version: its requests, those with a 5xx, those with a 4xx, its rows, its requests by their time."""

Matrix = npt.NDArray[np.float64]
Version = tuple[str, str]
"""A model and a version; both are empty for requests whose model or version is unknown."""

_REQUESTS: Final = "gateway_requests_total"
_SECONDS: Final = "gateway_request_seconds_bucket"
_ROWS: Final = "gateway_rows_total"
_QUEUE: Final = "gateway_queue_rows"
_IN_FLIGHT: Final = "gateway_in_flight_requests"
_OVERLOAD: Final = "gateway_refusals_total"
_WEIGHT: Final = "gateway_rollout_weight"
_LOG_E: Final = "gateway_rollout_log_e"
_EXPOSED: Final = "gateway_rollout_exposed_total"
_BAD: Final = "gateway_rollout_bad_total"
NAMES: Final = (*(_REQUESTS, _SECONDS, _ROWS, _QUEUE, _IN_FLIGHT, _OVERLOAD), *(_WEIGHT, _LOG_E, _EXPOSED, _BAD))
"""What has to be read."""

_ROLLOUT: Final = (_WEIGHT, _LOG_E, _EXPOSED, _BAD)
_BOUNDS: Final = {bound: place for place, bound in enumerate([*map(str, SECONDS), "+Inf"])}


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted so far. ``by_version[i]`` is of ``versions[i]``; of later counts these begin with those of earlier ones.

    ``total`` is of all requests, and has those that were refused for want of room before their model was known, as failed ones.
    """

    versions: Sequence[Version]
    by_version: Matrix
    total: Values
    in_flight: int
    queue_rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class RolloutNumbers:
    """What is counted of the rollouts of a model: NaN where nothing is known. ``bad`` by arm and metric."""

    weight: float
    log_e: dict[str, float]
    exposed: dict[str, float]
    bad: dict[tuple[str, str], float]


class Layout:
    """Follows the readings of one reader. For one thread."""

    def __init__(self) -> None:
        self._seen = 0
        self._rows: dict[Version, int] = {}
        self._versions: list[Version] = []
        # The columns of numbers, and where in the matrix each is added.
        self._columns, self._targets = array("q"), array("q")
        self._queues: list[tuple[int, str]] = []
        self._single: dict[str, int] = {}
        self._rollouts: defaultdict[str, dict[Key, int]] = defaultdict(dict)
        self._from = self._to = np.empty(0, np.intp)

    def counts(self, reading: Reading) -> Counts:
        """What ``reading`` says of the requests."""
        self._look(reading.keys)
        values, height = reading.values, len(self._versions)
        matrix = np.bincount(self._to, values[self._from], height * WIDTH).reshape(height, WIDTH).astype(np.float64)
        total = matrix.sum(axis=0)
        overload = self._number(values, _OVERLOAD)
        total[REQUESTS] += overload
        total[FAILED] += overload
        waiting = {model: int(values[column]) for column, model in self._queues if values[column] > 0}
        return Counts(self._versions, matrix, total, int(self._number(values, _IN_FLIGHT)), waiting)

    def rollout(self, reading: Reading, model: str) -> RolloutNumbers:
        """What ``reading``, which ``counts`` has seen, says of the rollouts of ``model``."""
        weight, log_e, exposed, bad = math.nan, {}, {}, {}
        for key, column in self._rollouts.get(model, {}).items():
            value, labels = float(reading.values[column]), key.labels
            if key.name == _WEIGHT:
                weight = value
            elif key.name == _LOG_E:
                log_e[labels[0]] = value
            elif key.name == _EXPOSED:
                exposed[labels[0]] = value
            else:
                bad[labels[0], labels[1]] = value
        return RolloutNumbers(weight, log_e, exposed, bad)

    def _number(self, values: Values, name: str) -> float:
        return float(values[self._single[name]]) if name in self._single else 0.0

    def _look(self, keys: Sequence[Key]) -> None:
        """Learn what the new ones of ``keys`` mean. Their labels are in the order of the labels' names."""
        if len(keys) == self._seen:
            return
        for column in range(self._seen, len(keys)):
            name, labels = keys[column]
            if name == _SECONDS:
                bound, model, _, version = labels
                self._add(column, model, version, FIRST_BUCKET + _BOUNDS[bound])
            elif name == _REQUESTS:
                model, _, status, version = labels
                self._add(column, model, version, REQUESTS)
                if status.startswith(("4", "5")):
                    self._add(column, model, version, FAILED if status.startswith("5") else REFUSED)
            elif name == _ROWS:
                model, _, version = labels
                self._add(column, model, version, ROWS)
            elif name == _QUEUE:
                self._queues.append((column, labels[0]))
            elif name in _ROLLOUT:
                self._rollouts[labels[-1]][keys[column]] = column
            else:
                self._single[name] = column
        self._seen = len(keys)
        self._from, self._to = np.array(self._columns, np.intp), np.array(self._targets, np.intp)

    def _add(self, column: int, model: str, version: str, place: int) -> None:
        row = self._rows.get((model, version))
        if row is None:
            row = self._rows[model, version] = len(self._versions)
            self._versions.append((model, version))
        self._columns.append(column)
        self._targets.append(row * WIDTH + place)
