"""What one gateway does at so many requests in flight, by what a benchmark has recorded, and the knee of that curve.

In a closed loop each client has one request in flight, so the recorded requests/s by clients are requests/s by requests in
flight. By Little's law the mean time of a request is the one divided by the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import ours
from benchmarks.errors import BenchError
from benchmarks.reporting import results

MOST_IN_FLIGHT: Final = 512
"""Of one worker by default (GATEWAY_MAX_IN_FLIGHT); what comes above it is refused."""
_GRID: Final = np.geomspace(0.01, MOST_IN_FLIGHT, 4000)


@dataclass(frozen=True)
class ServiceCurve:
    """Requests/s by requests in flight: ``recorded`` has at least two points. Between them the logarithms are interpolated."""

    recorded: Mapping[int, float]

    @cached_property
    def _rates(self) -> NDArray[np.float64]:
        """For each point of the grid; never falling, because what a busier gateway does it can also do."""
        points = sorted(self.recorded.items())
        counts, rates = np.log([count for count, _ in points]), np.log([rate for _, rate in points])
        # Below the first point each request has the gateway for itself.
        inside = np.exp(np.interp(np.log(_GRID), counts, rates)) * np.minimum(1.0, _GRID / points[0][0])
        return np.asarray(np.maximum.accumulate(inside), np.float64)

    @property
    def peak(self) -> float:
        """The most requests/s."""
        return float(self._rates[-1])

    @property
    def knee(self) -> float:
        """The requests in flight at which requests/s divided by the mean time is greatest (Kleinrock's power).

        Below it more requests in flight mostly mean more requests/s, above it mostly a longer wait.
        """
        return float(_GRID[np.argmax(self._rates**2 / _GRID)])

    def rate(self, in_flight: float) -> float:
        """The requests/s at so many in flight."""
        return float(np.interp(in_flight, _GRID, self._rates))

    def in_flight(self, rate: float) -> float:
        """How many are in flight when so many requests come in a second; `MOST_IN_FLIGHT` when that is more than the peak."""
        if rate >= self.peak:
            return float(MOST_IN_FLIGHT)
        return float(_GRID[np.searchsorted(self._rates, rate)])


def recorded(told: results.Results | None = None) -> ServiceCurve:
    """The curve of the kept results: one row a request, JSON, by clients. Raises BenchError when they do not have it."""
    told = told or results.read(results.KEPT)
    points = told.groups.get("rows", {}).get("points", [])
    found = {point["case"]["clients"]: float(point["median"]["rps"]) for point in points if _is_ours(point)}
    if len(found) < 2:
        raise BenchError("the results have no requests/s of the gateway by clients: run `python -m benchmarks run --only rows`")
    return ServiceCurve(found)


def _is_ours(point: Mapping[str, Any]) -> bool:
    return bool(point["contender"] == ours.NAME and point["case"].keys() == {"clients"})
