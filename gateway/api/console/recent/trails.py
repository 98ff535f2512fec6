"""The trails of the newest rollout of each model: kept by the recorder, read by every worker."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from gateway.api.console.recent.counts import FIRST_BUCKET, WIDTH, Layout
from gateway.api.console.recent.figures import quantiles_ms
from gateway.api.console.recent.place import Place
from gateway.api.console.recent.tick import Row
from gateway.api.console.recent.trail import Trail, counted_of
from gateway.telemetry.reading.numbers import Reading, Values

MOST: Final = 64
_PREFIX: Final = "console_rollout_"
_WRITTEN_AT_A_TIME: Final = 4
_MOST_VERSIONS: Final = 8

_decoder: Final = msgspec.json.Decoder(Trail)


class TrailWriter:
    """Follows the rollouts. For the recorder, in one thread; what another one has written is gone on with."""

    def __init__(self, place: Place) -> None:
        self._place = place
        names = place.names(_PREFIX)[:MOST]
        found = [trail for name in reversed(names) if (trail := _read(place, name)) is not None]
        self._trails = {trail.model: trail for trail in found}
        self._unwritten: dict[str, None] = {}  # models, those that have waited longest first
        self._slow: dict[str, dict[str, Values]] = {}  # by model and version, the buckets since the last kept point

    def note(self, at_s: float, plans: Mapping[str, str], layout: Layout, reading: Reading, rows: list[Row]) -> None:
        """These are the open plans now, by model, and what had requests lately. Raises OSError without room."""
        for model, trail in self._trails.items():
            if not trail.has_ended and plans.get(model) != trail.plan:
                trail.end()
                self._unwritten[model] = None
        by_model: dict[str, list[Row]] = {}
        for row in rows:
            if row[0] in plans:
                by_model.setdefault(row[0], []).append(row)
        for model, plan in plans.items():
            numbers = layout.rollout(reading, model)
            known = self._trails.get(model)
            goes_on = known is not None and known.plan == plan
            trail = known if known is not None and goes_on else self._begin(Trail(model, plan, counted_of(numbers)))
            trail.has_ended = False  # one that was not known for a while may be known again
            p95_ms = self._p95_ms(model, by_model.get(model, []))
            if trail.is_due(at_s):
                self._slow.pop(model, None)
            trail.add(at_s, numbers, p95_ms)
            self._unwritten.setdefault(model)
        self._write()

    def _begin(self, trail: Trail) -> Trail:
        self._slow.pop(trail.model, None)
        self._trails.pop(trail.model, None)
        self._trails[trail.model] = trail
        while len(self._trails) > MOST:
            oldest = next(iter(self._trails))
            del self._trails[oldest]
            self._unwritten.pop(oldest, None)
            self._place.remove(_name(oldest))
        return trail

    def _p95_ms(self, model: str, rows: list[Row]) -> dict[str, float]:
        by_version = self._slow.setdefault(model, {})
        for _, version, numbers in rows:
            if version in by_version or len(by_version) < _MOST_VERSIONS:
                by_version[version] = by_version.get(version, np.zeros(WIDTH)) + numbers
        if not by_version:
            return {}
        p95_ms = quantiles_ms(np.stack(list(by_version.values()))[:, FIRST_BUCKET:], 0.95)
        return {version: float(ms) for version, ms in zip(by_version, p95_ms, strict=True) if not np.isnan(ms)}

    def _write(self) -> None:
        for model in list(self._unwritten)[:_WRITTEN_AT_A_TIME]:
            self._place.write(_name(model), msgspec.json.encode(self._trails[model]))
            del self._unwritten[model]


class TrailReader:
    """Reads trails when they have changed. For one thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._read: dict[str, tuple[object, Trail | None]] = {}

    def of(self, model: str) -> Trail | None:
        """The trail of the newest rollout of ``model``; None: none is known."""
        name = _name(model)
        stamp = self._place.stamp(name)
        if stamp is None:
            return None
        if name not in self._read or self._read[name][0] != stamp:
            if len(self._read) >= MOST:
                self._read.clear()
            self._read[name] = (stamp, _read(self._place, name))
        return self._read[name][1]


def _name(model: str) -> str:
    return f"{_PREFIX}{blake2b(model.encode(), digest_size=8).hexdigest()}.json"


def _read(place: Place, name: str) -> Trail | None:
    document = place.read(name)
    return None if document is None else _decoder.decode(document)
