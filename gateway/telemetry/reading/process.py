"""Reads the numbers of this process, where workers share no folder."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.samples import Sample

from gateway.telemetry.reading.numbers import Key, Names, Reading

_BUCKET: Final = "_bucket"
_BOUND: Final = "le"


class ProcessReader:
    """The numbers of ``names`` in ``registry``. For one thread."""

    def __init__(self, names: Names, registry: CollectorRegistry = REGISTRY) -> None:
        self._names = frozenset(names)
        self._registry = registry
        self._places: dict[Key, int] = {}
        self._keys: list[Key] = []

    def read(self) -> Reading:
        """The numbers now."""
        found: dict[int, float] = {}
        for family in self._registry.restricted_registry(self._names).collect():
            for key, value in self._numbers(family):
                found[self._place(key)] = value
        values = np.full(len(self._keys), np.nan)
        values[list(found)] = list(found.values())
        return Reading(self._keys, values)

    def _numbers(self, family: Metric) -> Iterable[tuple[Key, float]]:
        below: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for sample in family.samples:
            if sample.name not in self._names:
                continue
            value = sample.value
            if sample.name.endswith(_BUCKET):
                # Each has what is below its bound too, and they come in the order of their bounds.
                whose = _labels(sample, without=_BOUND)
                value -= below[whose]
                below[whose] = sample.value
            yield Key(sample.name, _labels(sample)), value

    def _place(self, key: Key) -> int:
        if key not in self._places:
            self._places[key] = len(self._keys)
            self._keys.append(key)
        return self._places[key]


def _labels(sample: Sample, without: str = "") -> tuple[str, ...]:
    return tuple(sample.labels[label] for label in sorted(sample.labels) if label != without)
