"""Finds the columns of a table of instances, whose file needs them before its first row."""

from collections.abc import Iterator
from typing import Final

from gateway.inference.dtypes import DTYPES
from gateway.prediction_log import tensors
from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.tables.columns import STRING, TEXT, TIME, Column, Head, Side, columns_of, head_of
from gateway.prediction_log.offline.tables.labels import LabelKind, Labelled
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.tensors import Array, Summarised

FIXED: Final = (
    Column("ts", TIME),
    Column("request_id", TEXT),
    Column("row", "int64"),
    Column("model", TEXT),
    Column("version", "int64"),
    Column("signature", TEXT),
    Column("arm", TEXT),
    Column("rollout", TEXT),
    Column("key", TEXT),
    Column("status", "int64"),
    Column("weight", "double"),
)
"""The columns of every table of instances. ``weight``: how many requests the row stands for, by its sample rate."""

_DTYPES: Final = {dtype.numpy: dtype.name for dtype in DTYPES if dtype.numpy}


def heads_of(row: PredictionRow) -> Iterator[tuple[Head, Array | Summarised]]:
    """The tensors of a row, as far as they were kept. Raises ExportFailure if they cannot be read."""
    sides: list[tuple[Side, bytes | None]] = [("in", row.inputs), ("out", row.outputs)]
    for side, data in sides:
        try:
            found = tensors.decode(data) if data else {}
        except (ValueError, KeyError) as error:
            raise ExportFailure(f"request {row.request_id}: its tensors cannot be read: {error}") from error
        for name, tensor in found.items():
            dtype = tensor.dtype if isinstance(tensor, Summarised) else _DTYPES[tensor.dtype]
            yield head_of(side, name, dtype, tensor, row.rows), tensor


class Plan:
    """The columns that the rows seen so far need."""

    def __init__(self) -> None:
        self._heads: dict[Head, str] = {}
        self._binary: set[tuple[str, str]] = set()
        self._label = LabelKind()

    def see(self, labelled: Labelled, count: int) -> None:
        """Take into account the first ``count`` instances of one more row. Raises ExportFailure if it cannot be read."""
        row = labelled.row
        for head, tensor in heads_of(row):
            self._heads.setdefault(head, f"{row.model}/{row.version}")
            if head.dtype == STRING and head.form == "flat" and not _is_text(tensor):
                self._binary.add((head.side, head.name))
        for instance, label in labelled.labels.items():
            if instance < count:
                self._label.see(label)

    def table(self) -> "Table":
        """The table of all rows seen. Raises ExportFailure if two tensors need the same column in different ways."""
        indexed = {(head.side, head.name) for head in self._heads if head.form == "flat" and head.size > 1}
        by_head = {}
        owners: dict[str, tuple[Column, Head]] = {}
        # The longest first: it has the columns of the shorter ones, and in order.
        for head in sorted(self._heads, key=lambda head: (head.side, head.name, head.form, -head.size)):
            key = (head.side, head.name)
            by_head[head] = columns_of(head, key in indexed, key not in self._binary) if head.size else ()
            for column in by_head[head]:
                other, owner = owners.setdefault(column.name, (column, head))
                if owner.name != head.name or other != column:
                    raise ExportFailure(self._clash(column.name, owner, head))
        once = dict.fromkeys(column for columns in by_head.values() for column in columns)
        return Table(by_head, (*FIXED, *once, self._label.column))

    def _clash(self, column: str, one: Head, other: Head) -> str:
        said = " and ".join(f"{head.dtype} {head.name!r} of {self._heads[head]}" for head in (one, other))
        return f"column {column!r} would be of {said}: export them apart, with --model and --version, or --per request"


class Table:
    """The columns of a table, and those of each tensor."""

    def __init__(self, by_head: dict[Head, tuple[Column, ...]], columns: tuple[Column, ...]) -> None:
        self.by_head = by_head
        self.columns = columns
        self.label_kind = columns[-1].kind


def _is_text(tensor: Array | Summarised) -> bool:
    if isinstance(tensor, Summarised):
        return True
    try:
        for text in tensor.ravel().tolist():
            text.decode()
    except UnicodeDecodeError:
        return False
    return True
