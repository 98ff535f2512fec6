"""What a panel of the dashboard is, whoever draws it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

WINDOW: Final = "$window"
"""Stands in a query for the time over which a rate is taken, which depends on how often Prometheus scrapes."""

Unit: TypeAlias = Literal["reqps", "ops", "percentunit", "s", "short", "bytes", "rowsps", "bool"]
"""Grafana's identifiers of units."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query in PromQL, with ``WINDOW`` for the time of its rates, and Grafana's format of the names of its series.

    ``exemplars``: Grafana shows those of its buckets, too.
    """

    expr: str
    legend: str
    exemplars: bool = False

    def over(self, window: str) -> str:
        """The query with rates over ``window``, such as ``1m``."""
        return self.expr.replace(WINDOW, window)


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. ``meaning`` says what it shows, and which setting it needs.

    ``kind``: lines over time, or the latest numbers. ``most``: the top of the scale; None: as the values are.
    """

    title: str
    meaning: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat"] = "timeseries"
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together, under one heading."""

    title: str
    panels: tuple[Panel, ...]
