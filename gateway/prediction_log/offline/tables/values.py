"""The values of a tensor in the columns of ``columns.py``: for each column a list with a value for each instance."""

from typing import Any, Final

import msgspec
import numpy as np
import orjson

from gateway.prediction_log.offline.tables.columns import BYTES, STRING, Column, Head, has_top1
from gateway.prediction_log.tensors import Array, Summarised, summary

_NARROW: Final = ("half", "bfloat16")


@np.errstate(invalid="ignore")  # a signalling NaN becomes a quiet one
def values_of(head: Head, columns: tuple[Column, ...], tensor: Array | Summarised, rows: int) -> list[list[Any]]:
    """The lists for ``columns``, which are those of ``head``; ``rows`` is how many instances there are, at least one."""
    if isinstance(tensor, Summarised):
        # Of several instances there is one summary, which is of none of them.
        fields = msgspec.structs.astuple(tensor.summary) if rows == 1 or not head.is_split else (None,) * 5
        return [[value] * rows for value in (_shape(head), *fields)]
    parts = tensor.reshape((rows, head.size) if head.is_split else (1, head.size))
    found = _elements(head, columns, parts) if head.form == "flat" else _large(head, parts)
    if has_top1(head):
        found += _top1(parts)
    return found if head.is_split else [values * rows for values in found]


def _elements(head: Head, columns: tuple[Column, ...], parts: Array) -> list[list[Any]]:
    if parts.dtype.kind == "c":
        return [values.tolist() for column in parts.T for values in (column.real, column.imag)]
    if head.dtype != STRING:
        return list((parts.astype(np.float32) if head.dtype in _NARROW else parts).T.tolist())
    if columns[0].kind == BYTES:
        return list(parts.T.tolist())
    return [[text.decode() for text in column] for column in parts.T.tolist()]


def _large(head: Head, parts: Array) -> list[list[Any]]:
    count = len(parts)
    content = [] if head.dtype == STRING else [[row.tobytes() for row in parts]]
    fields = [msgspec.structs.astuple(summary(row)) for row in parts]
    return [[_shape(head)] * count, *content, *map(list, zip(*fields, strict=True))]


def _top1(parts: Array) -> list[list[Any]]:
    """The largest element that is a number, and where it is; None where none is a number."""
    numbers = parts.astype(np.float64)
    missing = np.isnan(numbers)
    best = np.where(missing, -np.inf, numbers).argmax(axis=1)
    # -inf may be the largest number, and stand behind a NaN.
    best = np.where(missing[np.arange(len(parts)), best], (~missing).argmax(axis=1), best)
    indices = [None if row.all() else int(i) for row, i in zip(missing, best, strict=True)]
    return [indices, [None if i is None else float(row[i]) for row, i in zip(numbers, indices, strict=True)]]


def _shape(head: Head) -> str:
    return orjson.dumps(head.shape).decode()
