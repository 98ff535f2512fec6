"""Counters and histograms under TensorFlow Serving's names, in Prometheus' text format.

A metric ``/tensorflow/serving/request_count`` is exported as ``:tensorflow:serving:request_count``, without HELP and
without the suffix that prometheus_client gives counters, which is why this is not prometheus_client.
"""

import bisect
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Labels = tuple[str, ...]

_BUCKETS = tuple(10 * 1.8**n for n in range(33))


@dataclass
class _Series:
    """One combination of label values: a count, and for histograms the sum and the count of each bucket."""

    count: int = 0
    total: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(_BUCKETS))


class Metric:
    """A counter or histogram with fixed label names. Thread-safe."""

    def __init__(self, path: str, kind: str, label_names: tuple[str, ...]) -> None:
        self.path = path
        self._kind = kind
        self._label_names = label_names
        self._series: dict[Labels, _Series] = {}
        self._lock = threading.Lock()

    def increment(self, *labels: str) -> None:
        """Count one."""
        self.observe(0.0, *labels)

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation of ``value``."""
        with self._lock:
            series = self._series.setdefault(labels, _Series())
            series.count += 1
            series.total += value
            bucket = bisect.bisect_left(_BUCKETS, value)
            if bucket < len(_BUCKETS):
                series.buckets[bucket] += 1

    def total(self) -> int:
        """The number of observations, over all labels."""
        with self._lock:
            return sum(series.count for series in self._series.values())

    def lines(self) -> Iterable[str]:
        """The metric in text format."""
        name = self.path.replace("/", ":")
        yield f"# TYPE {name} {self._kind}"
        with self._lock:
            for labels, series in self._series.items():
                shown = ",".join(f'{key}="{_escaped(value)}"' for key, value in zip(self._label_names, labels, strict=True))
                yield from self._samples(name, shown, series)

    def _samples(self, name: str, labels: str, series: _Series) -> Iterable[str]:
        if self._kind == "counter":
            yield f"{name}{{{labels}}} {series.count}"
            return
        below = 0
        for limit, count in zip(_BUCKETS, series.buckets, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{limit:g}"}} {below}'
        yield f'{name}_bucket{{{labels},le="+Inf"}} {series.count}'
        yield f"{name}_sum{{{labels}}} {series.total:g}"
        yield f"{name}_count{{{labels}}} {series.count}"


class Metrics:
    """All metrics of a server. Latencies are in microseconds and recorded for successes only."""

    def __init__(self) -> None:
        self.request_count = Metric("/tensorflow/serving/request_count", "counter", ("model_name", "status"))
        self.request_latency = Metric("/tensorflow/serving/request_latency", "histogram", ("model_name", "API", "entrypoint"))
        self.runtime_latency = Metric("/tensorflow/serving/runtime_latency", "histogram", ("model_name", "API", "runtime"))

    def exposition(self) -> str:
        """Everything, in Prometheus' text format."""
        return "".join(f"{line}\n" for metric in self._all() for line in metric.lines())

    def counts(self) -> Mapping[str, int]:
        """How often each metric was recorded, by its path."""
        return {metric.path: metric.total() for metric in self._all()}

    def _all(self) -> tuple[Metric, ...]:
        return (self.request_count, self.request_latency, self.runtime_latency)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
