"""Metrics of the tests' own making, and a clock that they set: what a recorder reads."""

from bisect import bisect_left
from collections import defaultdict

import numpy as np

from gateway.api.console.recent.place import Place
from gateway.api.console.recent.ticking import Clocks, Ticking
from gateway.telemetry.metrics import SECONDS
from gateway.telemetry.reading.numbers import Key, Reading

BOUNDS = (*map(str, SECONDS), "+Inf")


class Counted:
    """The metrics of a gateway, and its clocks. ``used_s``: processor time that each look at the clock adds."""

    def __init__(self) -> None:
        self.numbers: defaultdict[Key, float] = defaultdict(float)
        self.now_s = 1000.0
        self.unix_s = 1_700_000_000.0
        self.used_s = 0.0
        self._used_s = 0.0

    def read(self) -> Reading:
        return Reading(list(self.numbers), np.array(list(self.numbers.values()), np.float64))

    def ask(self, model: str = "m", version: str = "1", status: int = 200, seconds: float = 0.004, count: int = 1) -> None:
        """Count requests, each for one row."""
        self.numbers[Key("gateway_requests_total", (model, "serving_default", str(status), version))] += count
        bound = BOUNDS[bisect_left(SECONDS, seconds)]
        self.numbers[Key("gateway_request_seconds_bucket", (bound, model, "serving_default", version))] += count
        if status == 200:
            self.numbers[Key("gateway_rows_total", (model, "serving_default", version))] += count

    def set(self, name: str, *labels: str, value: float) -> None:
        self.numbers[Key(name, labels)] = value

    def go_on(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.unix_s += seconds

    def clocks(self) -> Clocks:
        return Clocks(now=lambda: self.now_s, unix=lambda: self.unix_s, used=self._use)

    def _use(self) -> float:
        self._used_s += self.used_s
        return self._used_s

    def ticking(self, place: Place) -> Ticking:
        return Ticking(self, place, self.clocks())


def everybody(model: str) -> bool:
    """Who may see all models."""
    return True
