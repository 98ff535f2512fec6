"""One measured window of one contender, and the median of several."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A window. Processor time, in microseconds for each request: of the front's processes, and of the backends'.

    ``rps`` counts what was not refused; ``requests`` and the latencies count everything that was answered.
    ``others_cores``: how much of the processor the other contenders used in the window, in cores. It must be near zero.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    front_cpu_us: float
    backend_cpu_us: float
    others_cores: float
    requests: int
    refused: int
    broken: int


@dataclass(frozen=True)
class Point:
    """A contender in one situation, such as ``{"clients": 32}``, with its windows in the order of the rounds."""

    contender: str
    case: dict[str, Any]
    samples: tuple[Sample, ...]

    def median(self, field: str) -> float:
        """The median over the rounds."""
        return float(median(getattr(sample, field) for sample in self.samples))

    def as_json(self) -> dict[str, Any]:
        """The point with all of its windows: nothing is left out, so that the noise can be judged."""
        middle = {field.name: round(self.median(field.name), 4) for field in fields(Sample)}
        return {"contender": self.contender, "case": self.case, "median": middle, "samples": [asdict(s) for s in self.samples]}


def medians(points: Sequence[dict[str, Any]], contender: str, **case: Any) -> dict[str, float] | None:
    """The medians of a contender in a case, from points as a result file holds them; None when that was not measured."""
    for point in points:
        if point["contender"] == contender and point["case"] == case:
            return dict(point["median"])
    return None
