"""The figures of live rollouts as tables: the median over the rounds and, in brackets, the least and the most."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.rollouts.cases import Case
from benchmarks.rollouts.figures import Watched
from benchmarks.rollouts.orders import Ordered

_HEADS: Final = (
    "canary",
    "ended",
    "decided s",
    "followed s",
    "failed",
    "before ms",
    "during ms",
    "during/before",
    "of the median",
    "loading ms",
)
_DECIDED_S: Final = 60.0
_FOLLOWED_S: Final = 2.0
_RATIO: Final = 1.2


@dataclass(frozen=True)
class Bar:
    """What must be reached, as text, and whether it is."""

    what: str
    found: str
    is_reached: bool

    @property
    def told(self) -> str:
        """As it is shown."""
        return f"{'reached' if self.is_reached else 'MISSED '}  {self.what}: {self.found}"


def spread(values: Iterable[float], digits: int = 2) -> str:
    """The median of these values, with the least and the most."""
    known = sorted(values)
    shown = [f"{value:.{digits}f}" for value in (median(known), known[0], known[-1])]
    return shown[0] if len(known) == 1 else f"{shown[0]} ({shown[1]}-{shown[2]})"


def cases_table(measured: Mapping[Case, Sequence[Watched]]) -> str:
    """A line for each canary."""
    return table(_HEADS, [_row(case, found) for case, found in measured.items()])


def _row(case: Case, found: Sequence[Watched]) -> list[str]:
    return [
        case.name,
        ", ".join(sorted({ended(one) for one in found})),
        spread((one.decided_after_s for one in found), 1),
        spread(one.followed_after_s for one in found),
        f"{sum(one.failed for one in found)} of {sum(one.requests for one in found):,}",
        spread(one.before_ms for one in found),
        spread(one.during_ms for one in found),
        spread(one.ratio for one in found),
        spread(one.middle_ratio for one in found),
        spread(one.loading_ms for one in found),
    ]


def ended(one: Watched) -> str:
    """How a rollout ended, and the metric that its reason begins with, if it was taken back."""
    return f"{one.state.replace('_', ' ')}: {one.reason.split()[0]}" if was_taken_back(one) else "promoted"


def was_taken_back(one: Watched) -> bool:
    """Whether the canary was not promoted."""
    return one.state not in {"promoting", "bake_after", "done"}


def orders_table(orders: Sequence[Ordered], spreads_s: Sequence[float]) -> str:
    """The orders at two gateways, and by how much their workers differ."""
    rows = [
        ["promote: all answered by the canary after, s", spread(one.promoted_s for one in orders)],
        ["undo: all answered by stable after, s", spread(one.undone_s for one in orders)],
        ["workers of both gateways follow within, s", spread(spreads_s)],
        ["failed", f"{sum(one.failed for one in orders)} of {sum(one.requests for one in orders):,}"],
    ]
    return table(("two gateways on one database", ""), rows)


def case_bars(case: Case, found: Sequence[Watched]) -> list[Bar]:
    """Each time and the number of failed requests is judged by its worst round, the ratio of p99 by its median."""
    return [
        Bar(f"{case.name}, ended as it should", ", ".join(map(ended, found)), all(_is_right(case, one) for one in found)),
        *([] if case.is_promoted else [_most(f"{case.name}, decided", (one.decided_after_s for one in found), _DECIDED_S)]),
        _most(f"{case.name}, followed", (one.followed_after_s for one in found), _FOLLOWED_S),
        _none_failed(case.name, sum(one.failed for one in found)),
        _ratio_bar(case.name, [one.ratio for one in found]),
    ]


def order_bars(orders: Sequence[Ordered], spreads_s: Sequence[float]) -> list[Bar]:
    """Those of the orders, each judged by its worst round."""
    return [
        _most("promote, followed", (one.promoted_s for one in orders), _FOLLOWED_S),
        _most("undo, followed", (one.undone_s for one in orders), _FOLLOWED_S),
        _most("two gateways, workers follow", spreads_s, _FOLLOWED_S),
        _none_failed("two gateways", sum(one.failed for one in orders)),
    ]


def _is_right(case: Case, one: Watched) -> bool:
    return was_taken_back(one) != case.is_promoted and one.reason.startswith(case.reason)


def _most(what: str, values: Iterable[float], bound_s: float) -> Bar:
    known = list(values)
    return Bar(f"{what} within {bound_s:g} s", f"{spread(known)} s", max(known) <= bound_s)


def _none_failed(what: str, count: int) -> Bar:
    return Bar(f"{what}, no failed request", str(count), count == 0)


def _ratio_bar(what: str, ratios: Sequence[float]) -> Bar:
    return Bar(f"{what}, p99 of stable's callers at most {_RATIO:g} times", spread(ratios), median(ratios) <= _RATIO)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that are as wide as what is in them, the first to the left."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = ([cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in (heads, *rows))
    return "\n".join("  ".join([row[0].ljust(widths[0]), *line[1:]]) for row, line in zip((heads, *rows), lines, strict=True))
