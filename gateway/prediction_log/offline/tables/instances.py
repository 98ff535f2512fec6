"""Predictions as blocks of a table with a row for each instance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.prediction_log.offline.tables.labels import Labelled, label_value
from gateway.prediction_log.offline.tables.plan import FIXED, Table, heads_of
from gateway.prediction_log.offline.tables.values import values_of

Block: TypeAlias = Mapping[str, Sequence[Any]]
"""The values of some rows by the name of their column; all are of one length. A column that is left out has no values there."""

_OF_REQUEST: Final = tuple(column.name for column in FIXED if column.name not in ("row", "weight"))


def instance_blocks(labelled: Labelled, table: Table, most: int | None = None) -> Iterator[Block]:
    """The instances of a request, at most ``most``; nothing if it was refused before they were known.

    A request without a number of rows is one instance, if its tensors were kept.
    """
    row, labels = labelled
    found = list(heads_of(row))
    rows = row.rows if row.rows is not None else min(len(found), 1)
    count = rows if most is None else min(rows, most)
    if count == 0:
        return
    block: dict[str, Sequence[Any]] = {name: [getattr(row, name)] * count for name in _OF_REQUEST}
    block["row"] = range(count)
    block["weight"] = [1 / row.sample_rate] * count
    if labels:
        kind = table.label_kind
        block["label"] = [label_value(labels[i], kind) if i in labels else None for i in range(count)]
    for head, tensor in found:
        columns = table.by_head[head]
        for column, values in zip(columns, values_of(head, columns, tensor, rows) if columns else (), strict=True):
            block[column.name] = values[:count]
    yield block


def instance_count(labelled: Labelled) -> int:
    """How many instances ``instance_blocks`` gives."""
    row = labelled.row
    return row.rows if row.rows is not None else int(any(True for _ in heads_of(row)))
