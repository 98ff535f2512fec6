"""The sums of one worker in one step of a plan: they only grow, so that a row that is written again changes nothing.

Sums of several workers, hosts and steps are added field by field.
"""

from typing import Any, Self

import msgspec

POINTS = 8
"""How many alternatives each metric is weighed against."""


def _zeros() -> list[float]:
    return [0.0] * POINTS


class Totals(msgspec.Struct, kw_only=True):
    """Cells and requests by arm (``stable`` without ``baseline``), and the log weights S_1..8 of each metric.

    - ``*_cells``: cells with at least one counted request; ``*_requests``: the requests themselves.
    - ``canary_routed``, ``other_routed``: requests that were sent to an arm, whatever came of them and whoever answered. Only
      these show how requests are split: a cache answers more of one arm's than of the other's.
    - ``canary_errors``, ``stable_errors``: cells with a request that failed on its own arm and not on the other (baseline's
      count as stable's). ``canary_slow``, ``baseline_slow``: cells with a slow one; ``*_timed``: cells that could be.
    - ``pairs``, ``disagreements``: cells in which answers of both versions were compared, and those that differed. A cell is a
      caller's or, where callers are not known, that of equal inputs.
    - ``canary_callers``, ``other_callers``: the first callers that a worker has seen in a sticky rollout, each once.
      ``workers``: how many workers' sums these are.
    - ``unchecked``: faults whose second opinion could not be had (``canary_unchecked``: of the canary); ``left_out``: windows
      that do not count because of that.
    - ``alone_asked``, ``alone_failed``: requests after the promotion, and those of them that stable has answered.
    - ``error``, ``slow``, ``disagree``: the log weights, of closed windows only.
    """

    canary_cells: int = 0
    baseline_cells: int = 0
    stable_cells: int = 0
    canary_requests: int = 0
    baseline_requests: int = 0
    stable_requests: int = 0
    canary_routed: int = 0
    other_routed: int = 0
    canary_errors: int = 0
    stable_errors: int = 0
    canary_timed: int = 0
    baseline_timed: int = 0
    canary_slow: int = 0
    baseline_slow: int = 0
    pairs: int = 0
    disagreements: int = 0
    canary_callers: int = 0
    other_callers: int = 0
    workers: int = 0
    unchecked: int = 0
    canary_unchecked: int = 0
    left_out: int = 0
    alone_asked: int = 0
    alone_failed: int = 0
    error: list[float] = msgspec.field(default_factory=_zeros)
    slow: list[float] = msgspec.field(default_factory=_zeros)
    disagree: list[float] = msgspec.field(default_factory=_zeros)

    def __add__(self, other: Self) -> Self:
        """The sums of both."""
        both: dict[str, Any] = {}
        for name in self.__struct_fields__:
            one, two = getattr(self, name), getattr(other, name)
            both[name] = one + two if isinstance(one, int) else [a + b for a, b in zip(one, two, strict=True)]
        return type(self)(**both)
