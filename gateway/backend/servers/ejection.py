"""Which model servers are left out for a while, because their calls fail or because they are silent. Pure functions.

Three failures in a row take a server out for a second, and each time that this happens again for twice as long, up to half a
minute. At most half of the servers are out: when all fail, the cause is elsewhere, and somebody must answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

FAILURES: Final = 3
FIRST_S: Final = 1.0
MOST_S: Final = 30.0
_MOST_TIMES: Final = math.ceil(math.log2(MOST_S / FIRST_S))


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one server. Times are seconds of one clock.

    - ``failures``: calls that failed in a row. ``times``: how often it was taken out, less the successes since.
    - ``out_until_s``: until when its failures take it out. ``since_s``: since when. ``is_silent``: it does not answer at all.
    """

    failures: int = 0
    times: int = 0
    since_s: float = -math.inf
    out_until_s: float = -math.inf
    is_silent: bool = False

    def is_out(self, now_s: float) -> bool:
        """Whether it should get no calls."""
        return self.is_silent or now_s < self.out_until_s

    def left_s(self, now_s: float) -> float | None:
        """How many seconds it is out yet; None: until it answers."""
        return None if self.is_silent else round(self.out_until_s - now_s, 1)


WELL: Final = Health()


def failed(health: Health, now_s: float) -> Health:
    """One more call has failed. The calls that were in flight when a server was taken out count no more."""
    if now_s < health.out_until_s:
        return health
    if health.failures + 1 < FAILURES:
        return replace(health, failures=health.failures + 1)
    for_s = min(MOST_S, FIRST_S * 2**health.times)
    times = min(health.times + 1, _MOST_TIMES)
    return replace(health, failures=0, times=times, since_s=now_s, out_until_s=now_s + for_s)


def succeeded(health: Health, now_s: float) -> Health:
    """A call was answered."""
    back = health.times if now_s < health.out_until_s else max(0, health.times - 1)
    return replace(health, failures=0, times=back)


def silent(health: Health, now_s: float) -> Health:
    """It has answered nothing for too long."""
    return health if health.is_silent else replace(health, is_silent=True, since_s=now_s)


def heard(health: Health) -> Health:
    """It has answered again."""
    return replace(health, is_silent=False)


def ejected(healths: Sequence[Health], now_s: float) -> frozenset[int]:
    """The places of those in ``healths`` that are left out: at most half of all, rounded down.

    Silent ones come first, and then those that have been out for longest.
    """
    out = [place for place, health in enumerate(healths) if health.is_out(now_s)]
    out.sort(key=lambda place: (not healths[place].is_silent, healths[place].since_s))
    return frozenset(out[: len(healths) // 2])
