"""Requests like those that a signature answered: single rows of them, and the same shapes with other contents."""

from collections.abc import Iterator, Sequence

import numpy as np

from model_export.checking import fills
from model_export.checking.texts import other_string
from model_export.saved_model import Array, Inputs

_MOST_ROWS = 6


def of(known: Sequence[Inputs]) -> Iterator[Inputs]:
    """Yield single rows of the known requests, then variations of the first row, then whole requests and their variations.

    What has no rows, because its inputs differ in their dimension 0 or have none, is left out.
    """
    alone = _rows(known)
    yield from alone[:_MOST_ROWS]
    if alone:
        yield from _varied_requests(alone[0])
    for inputs in known:
        if rows_of(inputs) > 1:
            yield inputs
            yield from _varied_requests(inputs)


def parts_of(known: Sequence[Inputs]) -> Iterator[Inputs]:
    """Yield single rows of the known requests, then whole requests: nothing that is not in them."""
    yield from _rows(known)
    yield from (inputs for inputs in known if rows_of(inputs) > 1)


def rows_of(inputs: Inputs) -> int:
    """Return how many rows all inputs have; 0 if they differ or one is a scalar."""
    sizes = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    return sizes.pop() if len(sizes) == 1 else 0


def _rows(known: Sequence[Inputs]) -> list[Inputs]:
    return [_row(inputs, row) for inputs in known for row in range(min(rows_of(inputs), _MOST_ROWS))]


def _row(inputs: Inputs, row: int) -> Inputs:
    return {name: array[row : row + 1] for name, array in inputs.items()}


def _varied_requests(inputs: Inputs) -> Iterator[Inputs]:
    """Yield requests with other contents, then with the same contents in another order, as probabilities may only be moved."""
    for number in range(1, 9):
        yield {name: _varied(array, number, integers=number % 2 == 0) for name, array in inputs.items()}
    for shift in (1, 2):
        yield {name: np.roll(array, shift, axis=-1) if array.ndim > 1 else array for name, array in inputs.items()}


def _varied(array: Array, number: int, *, integers: bool) -> Array:
    """Return other contents for each number. Integers, which are often indices, vary only if asked to, and stay small."""
    if array.dtype == object:
        return np.asarray(np.frompyfunc(lambda content: other_string(content, number), 1, 1)(array), dtype=object)
    if array.dtype.kind == "b":
        return np.asarray(array != bool(number % 2))
    if array.dtype.kind in "iu":
        return ((array.astype(np.int64) + number // 2) % (number + 1)).astype(array.dtype) if integers else array
    if array.dtype.kind == "V" and (array.dtype.names or "float" not in array.dtype.name):  # quantized or very short integers
        return array
    wide: Array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    fill = fills.spread(number) if number % 3 else fills.small
    with np.errstate(all="ignore"):  # a known request may hold NaN, infinities and the largest numbers there are
        return np.asarray((np.multiply(wide, (number % 4) / 2) + fill(array.shape)).astype(array.dtype))
