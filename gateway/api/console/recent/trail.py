"""What was seen of one rollout, from its beginning on: some hundred points, which are the further apart the longer it lasts."""

import math
from typing import Any, Final

import msgspec

from gateway.api.console.recent.counts import RolloutNumbers

MOST_POINTS: Final = 299
"""Odd, so that the first and the last of them stay when every second one goes."""

LOG_E: Final = ("error", "slow", "disagree", "all")
ARMS: Final = ("stable", "baseline", "canary")
BAD: Final = (
    *(("stable", "error"), ("canary", "error")),
    *(("baseline", "slow"), ("canary", "slow")),
    ("canary", "disagree"),
)


class Point(msgspec.Struct, array_like=True, frozen=True):
    """One moment: ``at_s`` of ``time.monotonic``, what was counted since the beginning, and ``p95_ms`` by version, of late."""

    at_s: float
    weight: float | None
    log_e: list[float | None]
    exposed: list[int]
    bad: list[int]
    p95_ms: dict[str, float]


class Trail(msgspec.Struct):
    """The points of the rollout ``plan`` of ``model``. ``before``: what had been counted when it began, of earlier ones."""

    model: str
    plan: str
    before: list[float]
    every_s: float = 1.0
    points: list[Point] = []
    newest: Point | None = None
    has_ended: bool = False

    def add(self, at_s: float, numbers: RolloutNumbers, p95_ms: dict[str, float]) -> None:
        """Note what is known at ``at_s``."""
        counted = [now - then for now, then in zip(counted_of(numbers), self.before, strict=True)]
        exposed, bad = counted[: len(ARMS)], counted[len(ARMS) :]
        log_e = [_known(numbers.log_e.get(metric, math.nan)) for metric in LOG_E]
        self.newest = point = Point(
            round(at_s, 2), _known(numbers.weight), log_e, [int(n) for n in exposed], [int(n) for n in bad], p95_ms
        )
        if self.is_due(at_s):
            self._keep(point)

    def is_due(self, at_s: float) -> bool:
        """Whether a point at ``at_s`` is one that is kept."""
        return not self.points or at_s >= self.points[-1].at_s + self.every_s

    def end(self) -> None:
        """The rollout has ended: its last point is kept."""
        self.has_ended = True
        if self.newest is not None and self.newest != self.points[-1]:
            self._keep(self.newest)
        self.newest = None

    def columns(self, clock_s: float) -> dict[str, Any]:
        """The trail for JSON. ``clock_s``: what Unix time is more than that of the points."""
        last = self.points[-1].at_s if self.points else -math.inf
        points = self.points + ([self.newest] if self.newest is not None and self.newest.at_s > last else [])
        versions = sorted({version for point in points for version in point.p95_ms})
        return {
            "plan": self.plan,
            "t": [round(point.at_s + clock_s, 2) for point in points],
            "weight": [point.weight for point in points],
            "log_e": {name: [point.log_e[place] for point in points] for place, name in enumerate(LOG_E)},
            "exposed": {arm: [point.exposed[place] for point in points] for place, arm in enumerate(ARMS)},
            "bad": {" ".join(one): [point.bad[place] for point in points] for place, one in enumerate(BAD)},
            "p95_ms": {version: [point.p95_ms.get(version) for point in points] for version in versions},
        }

    def _keep(self, point: Point) -> None:
        self.points.append(point)
        if len(self.points) >= MOST_POINTS:
            self.points = self.points[::2]
            self.every_s *= 2


def counted_of(numbers: RolloutNumbers) -> list[float]:
    """What is counted of all rollouts of a model since the gateway began: cells by arm, and bad ones."""
    return [*(numbers.exposed.get(arm, 0.0) for arm in ARMS), *(numbers.bad.get(one, 0.0) for one in BAD)]


def _known(number: float) -> float | None:
    return round(number, 6) if math.isfinite(number) else None
