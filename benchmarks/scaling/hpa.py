"""Kubernetes' HorizontalPodAutoscaler for a metric of pods, as its documentation describes it, with its defaults.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/, "Algorithm details" and "Configurable
scaling behavior". A pure computation: the caller has the clock, the pods and their metric.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 15.0
"""How often the autoscaler looks."""
_KEPT: Final = 120  # half an hour, which is the longest period of a policy


@dataclass(frozen=True)
class Policy:
    """How many pods may come or go in ``every_s``: so many ``pods``, or this ``share`` of those before; one of both."""

    every_s: float
    pods: int = 0
    share: float = 0.0

    def most(self, before: int) -> int:
        """How many there may be at the end, when there were ``before``."""
        return before + self.pods if self.pods else math.ceil(before * (1 + self.share))

    def least(self, before: int) -> int:
        """How many there must be at the end, when there were ``before``."""
        return before - self.pods if self.pods else math.floor(before * (1 - self.share))


@dataclass(frozen=True)
class Rules:
    """What one autoscaler is told. ``target`` is the wanted mean of the pods' metric. All else is Kubernetes' default.

    - ``tolerance``: by which part the mean may miss the target without anything being done.
    - ``down_window_s``: pods are taken away only when no look in so many seconds wanted more (``stabilizationWindowSeconds``).
    - ``up``, ``down``: of several policies the one counts that allows the most.
    """

    target: float
    least: int = 2
    most: int = 30
    tolerance: float = 0.1
    down_window_s: float = 300.0
    up: tuple[Policy, ...] = (Policy(15.0, pods=4), Policy(15.0, share=1.0))
    down: tuple[Policy, ...] = (Policy(15.0, share=1.0),)


class Autoscaler:
    """Looks at the pods every `EVERY_S`, and remembers what it wanted and did. Not thread-safe."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._wanted: deque[tuple[float, int]] = deque()
        self._changes: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def look(self, now_s: float, pods: int, values: Sequence[float]) -> int:
        """How many pods there shall be from now on.

        ``pods`` is how many there are, with those that still start, and ``values`` the metric of each pod that has one.
        """
        wanted = self._between(wanted_pods(self._rules, pods, values))
        self._wanted.append((now_s, wanted))
        while self._wanted[0][0] < now_s - self._rules.down_window_s:
            self._wanted.popleft()
        if wanted > pods:
            count = min(wanted, max(policy.most(pods - self._came(now_s, policy)) for policy in self._rules.up))
            count = max(pods, count)
        else:
            stable = max(count for _, count in self._wanted)
            count = max(stable, min(policy.least(pods + self._went(now_s, policy)) for policy in self._rules.down))
            count = min(pods, count)
        if count != pods:
            self._changes.append((now_s, count - pods))
        return count

    def _between(self, pods: int) -> int:
        return max(self._rules.least, min(self._rules.most, pods))

    def _came(self, now_s: float, policy: Policy) -> int:
        return sum(change for change in self._within(now_s, policy) if change > 0)

    def _went(self, now_s: float, policy: Policy) -> int:
        return -sum(change for change in self._within(now_s, policy) if change < 0)

    def _within(self, now_s: float, policy: Policy) -> list[int]:
        return [change for at_s, change in self._changes if at_s > now_s - policy.every_s]


def wanted_pods(rules: Rules, pods: int, values: Sequence[float]) -> int:
    """How many pods would have the target's mean, before any bound; ``pods`` where nothing is known or to be done.

    A pod without a metric counts as idle when more pods seem to be needed, and as one at the target when fewer do: what is not
    known yet only makes a change smaller.
    """
    if not values:
        return pods
    ratio = sum(values) / len(values) / rules.target
    missing = pods - len(values)
    if missing > 0:
        filled = [*values, *[rules.target if ratio < 1 else 0.0] * missing]
        first, ratio = ratio, sum(filled) / pods / rules.target
        if (first < 1) != (ratio < 1):
            return pods
    return pods if abs(ratio - 1) <= rules.tolerance else math.ceil(ratio * pods)
