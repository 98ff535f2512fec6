"""Hours of an autoscaler's life in a moment: a load, pods that take time to start, and their requests in flight.

Between two looks a pod is in balance: queues fill and empty within a second or two, and the looks are 15 s apart.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from benchmarks.scaling.hpa import EVERY_S, Autoscaler, Rules
from benchmarks.scaling.service_curve import ServiceCurve

Load: TypeAlias = Callable[[float], float]
"""Requests/s by the time in seconds."""
_NOISE: Final = 0.03
"""Of the load from one look to the next, besides that of the requests in flight."""
_SAME: Final = 1.1


@dataclass(frozen=True)
class Pods:
    """How pods start and are measured. The metric is the mean of the last ``scrapes``, one at each look."""

    start_s: float = 30.0
    scrapes: int = 4


@dataclass(frozen=True)
class Look:
    """What there was at one look: ``rate`` in requests/s, ``in_flight`` of each ready pod, ``refused`` in requests/s."""

    at_s: float
    rate: float
    pods: int
    ready: int
    in_flight: float
    refused: float


@dataclass
class _Pod:
    ready_s: float
    scraped: deque[int] = field(default_factory=deque)


def step(low: float, high: float, every_s: float) -> Load:
    """``low`` and ``high`` in turn, each for ``every_s``."""
    return lambda at_s: high if int(at_s / every_s) % 2 else low


def sine(low: float, high: float, period_s: float) -> Load:
    """A wave between ``low`` and ``high``, which begins low."""
    return lambda at_s: low + (high - low) * (1 - math.cos(2 * math.pi * at_s / period_s)) / 2


def simulated(load: Load, rules: Rules, curve: ServiceCurve, *, hours: float, seed: int, pods: Pods = Pods()) -> list[Look]:
    """Every look of so many hours. The same seed gives the same looks."""
    chance, autoscaler = np.random.default_rng(seed), Autoscaler(rules)
    alive, looks = [_Pod(0.0) for _ in range(_first(load, rules, curve))], []
    for at_s in np.arange(0.0, hours * 3600.0, EVERY_S):
        rate = load(at_s) * (1 + _NOISE * chance.standard_normal())
        ready = [pod for pod in alive if pod.ready_s <= at_s]
        in_flight = curve.in_flight(rate / len(ready))
        for pod, count in zip(ready, chance.poisson(in_flight, len(ready)).tolist(), strict=True):
            pod.scraped.append(count)
            if len(pod.scraped) > pods.scrapes:
                pod.scraped.popleft()
        looks.append(Look(at_s, rate, len(alive), len(ready), in_flight, max(0.0, rate - curve.peak * len(ready))))
        values = [sum(pod.scraped) / len(pod.scraped) for pod in ready]
        wanted = autoscaler.look(at_s, len(alive), values)
        alive += [_Pod(at_s + pods.start_s) for _ in range(wanted - len(alive))]
        # The youngest go first, and with them those that still start.
        del alive[wanted:]
    return looks


def _first(load: Load, rules: Rules, curve: ServiceCurve) -> int:
    """As many pods as the load needs when it begins."""
    return max(rules.least, min(rules.most, math.ceil(load(0.0) / curve.rate(rules.target))))


@dataclass(frozen=True)
class Summary:
    """The figures of one run.

    - ``changes``: how often there were more or fewer pods than at the look before.
    - ``flaps``: how often pods were added after some had been taken away, for a load that was the same.
    - ``refused``: a part of all requests. ``over_the_knee``: of the time.
    - ``pod_hours``: of pods that still start, too.
    """

    least: int
    most: int
    changes: int
    flaps: int
    refused: float
    over_the_knee: float
    pod_hours: float


def summary(looks: Sequence[Look], load: Load, knee: float) -> Summary:
    """The figures of these looks, which had this load."""
    counts = [look.pods for look in looks]
    return Summary(
        min(counts),
        max(counts),
        sum(before != after for before, after in pairwise(counts)),
        flaps(looks, load),
        sum(look.refused for look in looks) / sum(look.rate for look in looks),
        sum(look.in_flight > knee for look in looks) / len(looks),
        sum(counts) * EVERY_S / 3600.0,
    )


def flaps(looks: Sequence[Look], load: Load) -> int:
    """How often pods are added after some were taken away, while the load is at most 10 % more than it was then.

    The load is the one without its noise. A wave that rises again is no flap.
    """
    count, lowest = 0, math.inf
    for before, after in pairwise(looks):
        if after.pods < before.pods:
            lowest = min(lowest, load(after.at_s))
        elif after.pods > before.pods:
            count += load(after.at_s) <= _SAME * lowest < math.inf
            lowest = math.inf
    return count
