"""The columns that a tensor has in a table with a row for each instance.

- A tensor of up to ``SMALL_ELEMENTS`` elements an instance has a column for each: ``in.<name>.<i>`` in C order, or
  ``in.<name>`` when there is one element.
- A larger one has ``.shape``, ``.bytes`` (little-endian, in C order; not of strings) and a summary: ``.mean``, ``.std``,
  ``.min``, ``.max`` and ``.nan``.
- A complex element has two columns: ``.real`` and ``.imag``.
- A float output of one dimension has ``.top1``, the number of its largest element, and ``.top1_value``.
"""

import math
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

from gateway.prediction_log.tensors import SMALL_ELEMENTS, Array, Summarised

Side: TypeAlias = Literal["in", "out"]

TEXT: Final = "text"
BYTES: Final = "bytes"
JSON: Final = "json"
TIME: Final = "time"
STRING: Final = "string"

FLOATS: Final = ("float", "double", "half", "bfloat16")
_COMPLEX: Final = {"complex64": "float", "complex128": "double"}
_SUMMARY: Final = ("mean", "std", "min", "max")


class Column(NamedTuple):
    """A column. ``kind`` is TensorFlow's name of a dtype, or ``text``, ``bytes``, ``json`` (JSON text), ``time`` (us, UTC)."""

    name: str
    kind: str


class Head(NamedTuple):
    """What the columns of a tensor depend on. ``shape`` is that of one instance.

    ``form``: its elements are ``flat`` columns, it is ``large`` and known as a ``whole``, or there is only a ``summary``.
    ``is_split``: dimension 0 of the tensor counts the instances; otherwise each instance has the whole tensor.
    """

    side: Side
    name: str
    dtype: str
    shape: tuple[int, ...]
    form: Literal["flat", "whole", "summary"]
    is_split: bool

    @property
    def size(self) -> int:
        """The number of elements of an instance."""
        return math.prod(self.shape)


def head_of(side: Side, name: str, dtype: str, tensor: Array | Summarised, rows: int | None) -> Head:
    """The head of a tensor of a request with ``rows`` instances (None: the request is one instance)."""
    is_split = rows is not None and bool(tensor.shape) and tensor.shape[0] == rows
    shape = tuple(tensor.shape[1:] if is_split else tensor.shape)
    if isinstance(tensor, Summarised):
        return Head(side, name, dtype, shape, "summary", is_split)
    return Head(side, name, dtype, shape, "flat" if math.prod(shape) <= SMALL_ELEMENTS else "whole", is_split)


@lru_cache(4096)
def columns_of(head: Head, is_indexed: bool, is_text: bool) -> tuple[Column, ...]:
    """The columns of a tensor, in their order.

    ``is_indexed``: a single element has the number 0 in its name too, because other instances have more of them. ``is_text``:
    all strings of the column are UTF-8.
    """
    base = f"{head.side}.{head.name}"
    if head.form == "flat":
        return (*_elements(head, base, is_indexed, is_text), *_top1(head, base))
    content = [Column(f"{base}.bytes", BYTES)] if head.form == "whole" and head.dtype != STRING else []
    numbers = [Column(f"{base}.{what}", "double") for what in _SUMMARY]
    shape = Column(f"{base}.shape", TEXT)
    top1 = _top1(head, base) if head.form == "whole" else ()
    return (shape, *content, *numbers, Column(f"{base}.nan", "int64"), *top1)


def has_top1(head: Head) -> bool:
    """Whether the tensor is an output that scores several classes."""
    return head.side == "out" and head.dtype in FLOATS and len(head.shape) == 1 and head.shape[0] > 1


def _top1(head: Head, base: str) -> tuple[Column, ...]:
    return (Column(f"{base}.top1", "int64"), Column(f"{base}.top1_value", head.dtype)) if has_top1(head) else ()


def _elements(head: Head, base: str, is_indexed: bool, is_text: bool) -> list[Column]:
    names = [f"{base}.{i}" for i in range(head.size)] if is_indexed else [base]
    if head.dtype in _COMPLEX:
        return [Column(f"{name}.{part}", _COMPLEX[head.dtype]) for name in names for part in ("real", "imag")]
    kind = head.dtype if head.dtype != STRING or is_text else BYTES
    return [Column(name, kind) for name in names]
