"""What the prediction log needs of a place that keeps its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.prediction_log.row import Row

SomeRow = TypeVar("SomeRow", bound=Row)


class SinkAway(Exception):
    """Raised when a sink cannot be used now; the message says why, in one line without a password or a value of a row."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are read: those from ``from_us`` on and before ``to_us``, and of ``model``, ``version`` and ``request_ids``.

    ``models``: those of any of these. ``statuses``: those whose HTTP status is in the range. What is None does not matter, nor
    does the model or the status of rows that have none. ``models`` and ``request_ids`` are at most some thousands, as a
    database takes them in one statement. ``newest``: only the last so many rows.
    """

    from_us: int | None = None
    to_us: int | None = None
    model: str | None = None
    models: frozenset[str] | None = None
    version: int | None = None
    statuses: range | None = None
    request_ids: frozenset[str] | None = None
    newest: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The rows that a sink has of one run of a worker: how many, and the first and last number in their sequence."""

    boot: str
    first: int
    last: int
    rows: int

    @property
    def missing(self) -> int:
        """How many rows between the first and the last one were lost, or deleted out of their order."""
        return self.last - self.first + 1 - self.rows


class Sink(Protocol):
    """A place that keeps rows. All methods raise SinkAway; at most one thread uses a sink at a time."""

    @property
    def name(self) -> str:
        """Its address without a password."""

    def write(self, rows: Sequence[Row]) -> None:
        """Keep all ``rows``, or none of them if it raises. Rows that it has already, by ``boot`` and ``seq``, stay as they are.

        Without rows it only makes ready. An error that is no SinkAway is the fault of a row.
        """

    def purge(self, before_us: int) -> int:
        """Delete some of the rows from before ``before_us``, and return how many; 0 when none is left."""

    def read(self, kind: type[SomeRow], where: Filter) -> Iterator[SomeRow]:
        """The rows of one table, the oldest first. Rows that are written meanwhile may be among them or not."""

    def runs(self, kind: type[Row]) -> list[Run]:
        """What there is of each worker's run."""

    def close(self) -> None:
        """Close connections and files."""
