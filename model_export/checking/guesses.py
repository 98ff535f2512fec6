"""Inputs to try a signature with, made from its declaration alone: dtypes, shapes and, for strings, likely contents.

Each plan fixes sizes and contents for all inputs together. The plans go from the likeliest to the unlikely; none of them
failing says anything about the model, because no guess knows what the model means by its inputs.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import tensorflow as tf

from model_export.checking import fills
from model_export.checking.fills import Fill
from model_export.checking.parts import looks_ragged, ragged_roles, sparse_roles
from model_export.saved_model import Array, Inputs, Signature, Tensor

# What a free dimension other than the first may have to be: an image model often refuses one pixel.
_FREE_SIZES = (1, 32, 224)
_MORE_SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 28, 50, 64, 100, 128, 256, 299, 512, 768, 1024)
_MORE_ROWS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 32, 64)
# What a shape that is not declared at all may be; serialized examples, the usual case, come as a list.
_FREE_RANKS = (1, 0, 2, 3, 4)
_MOST_ELEMENTS = 1 << 22

_ONES, _ZEROS = fills.constant(1), fills.constant(0)
# For the integers and for all other numbers. Ones divide; zeros are in every vocabulary.
_FIRST: tuple[tuple[Fill, Fill], ...] = ((_ONES, _ONES), (_ZEROS, _ZEROS))
_FURTHER: tuple[tuple[Fill, Fill], ...] = (
    (_ONES, fills.identity),
    (_ZEROS, _ONES),
    (_ONES, fills.small),
    (fills.positions, fills.small),
    (fills.positions, fills.positions),
    (fills.ramp, fills.ramp),
    (fills.identity, fills.shares),
    (_ONES, _ZEROS),
    (fills.constant(2), fills.constant(0.5)),
    (fills.constant(2), fills.constant(-1)),
    (fills.constant(5), fills.constant(100)),
)


@dataclass(frozen=True)
class Plan:
    """How to fill all inputs of a signature: sizes of free dimensions, contents, and what some inputs are parts of."""

    rows: int = 1
    size: int = 1
    rank: int = 1
    integers: Fill = _ONES
    numbers: Fill = _ONES
    text: bytes = b""
    sizes: Mapping[str, int] | None = None
    texts: Mapping[str, bytes] | None = None
    rows_of: Mapping[str, int] | None = None
    roles: Mapping[str, str] | None = None


def guesses(signature: Signature, strings: tuple[bytes, ...]) -> Iterator[Inputs]:
    """Yield inputs that the signature may accept, likeliest first, with one row first where the first dimension is free.

    A signature without inputs yields `{}` once. `strings` are the contents to try for strings.
    """
    seen = set()
    for plan in _plans(signature, strings):
        shapes = {tensor.name: _shape(tensor, plan) for tensor in signature.inputs}
        if sum(int(np.prod(shape, dtype=np.float64)) for shape in shapes.values()) > _MOST_ELEMENTS:
            continue
        inputs = {tensor.name: _array(tensor, shapes[tensor.name], plan) for tensor in signature.inputs}
        digest = _digest(inputs)
        if digest not in seen:
            seen.add(digest)
            yield inputs


def _digest(inputs: Inputs) -> bytes:
    """Return what tells these inputs from others, without keeping the arrays themselves."""
    digest = hashlib.blake2b(digest_size=16)
    for array in inputs.values():
        digest.update(repr(array.shape).encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return digest.digest()


def _plans(signature: Signature, strings: tuple[bytes, ...]) -> Iterator[Plan]:
    inputs = signature.inputs
    texts = strings if any(tensor.dtype == tf.string for tensor in inputs) else strings[:1]
    free = [tensor for tensor in inputs if None in (tensor.shape or ())[1:]]
    sizes = _FREE_SIZES if free else _FREE_SIZES[:1]
    ranks = _FREE_RANKS if any(tensor.shape is None for tensor in inputs) else _FREE_RANKS[:1]
    yield from _sparse_plans(signature, strings[0])
    if looks_ragged(signature):
        yield from _ragged_plans(signature, strings[0])
    for rank, size, (integers, numbers), text in product(ranks, sizes, _FIRST, texts):
        yield Plan(1, size, rank, integers, numbers, text)
    yield from _plans_by_content(ranks, sizes, texts)
    yield from _ragged_plans(signature, strings[0])
    if free:
        yield from _plans_by_sizes(free, strings[0])
    yield from _plans_by_texts(inputs, strings)
    yield from _plans_by_rows(inputs, strings[0])


def _plans_by_content(ranks: tuple[int, ...], sizes: tuple[int, ...], texts: tuple[bytes, ...]) -> Iterator[Plan]:
    for rows, rank, size, (integers, numbers) in product((1, 2, 3), ranks, dict.fromkeys((*sizes, 3)), _FURTHER):
        yield Plan(rows, size, rank, integers, numbers, texts[0])


def _plans_by_sizes(free: list[Tensor], text: bytes) -> Iterator[Plan]:
    for size, (integers, numbers) in product(_MORE_SIZES, _FIRST):
        yield Plan(1, size, integers=integers, numbers=numbers, text=text)
    for rows in _MORE_SIZES[:9]:  # square matrices
        yield Plan(rows, rows, text=text, numbers=fills.identity)
    if 2 <= len(free) <= 3:
        for sizes in product((1, *_MORE_SIZES[: 12 // len(free)]), repeat=len(free)):
            yield Plan(text=text, sizes=dict(zip((tensor.name for tensor in free), sizes, strict=True)))


def _plans_by_texts(inputs: tuple[Tensor, ...], strings: tuple[bytes, ...]) -> Iterator[Plan]:
    """Give each of a few string inputs a content of its own."""
    names = [tensor.name for tensor in inputs if tensor.dtype == tf.string]
    if 2 <= len(names) <= 3:
        for texts in product(strings[:6], repeat=len(names)):
            yield Plan(texts=dict(zip(names, texts, strict=True)))


def _plans_by_rows(inputs: tuple[Tensor, ...], text: bytes) -> Iterator[Plan]:
    """Give more rows to all inputs, then other numbers of rows to each of two."""
    for rows, (integers, numbers) in product(_MORE_ROWS, (*_FIRST, (_ONES, fills.small))):
        yield Plan(rows, integers=integers, numbers=numbers, text=text)
    names = [tensor.name for tensor in inputs if tensor.shape and tensor.shape[0] is None]
    if len(names) == 2:
        for rows in product((1, 2, 3, 4), repeat=2):
            yield Plan(text=text, rows_of=dict(zip(names, rows, strict=True)))


def _sparse_plans(signature: Signature, text: bytes) -> Iterator[Plan]:
    roles = sparse_roles(signature)
    for rows, size in product((1, 2, 3), (*_FREE_SIZES, *_MORE_SIZES) if roles else ()):
        yield Plan(rows, size, text=text, roles=roles)


def _ragged_plans(signature: Signature, text: bytes) -> Iterator[Plan]:
    sparse = sparse_roles(signature)
    for roles, rows, integers in product(ragged_roles(signature, sparse), (1, 2, 3), (_ONES, _ZEROS)):
        yield Plan(rows, text=text, integers=integers, roles={**sparse, **roles})


def _shape(tensor: Tensor, plan: Plan) -> tuple[int, ...]:
    rows = (plan.rows_of or {}).get(tensor.name, plan.rows)
    size = (plan.sizes or {}).get(tensor.name, plan.size)
    role = (plan.roles or {}).get(tensor.name)
    if tensor.shape is None:
        return (rows, *[size] * (plan.rank - 1)) if plan.rank else ()
    if role in ("indices", "dense_shape"):
        depth = next((dim for dim in tensor.shape[-1:] if dim is not None), 2)
        return (rows, depth) if role == "indices" else (depth,)
    rows += role == "row_splits"
    return tuple(dim if dim is not None else rows if position == 0 else size for position, dim in enumerate(tensor.shape))


def _array(tensor: Tensor, shape: tuple[int, ...], plan: Plan) -> Array:
    role = (plan.roles or {}).get(tensor.name)
    if tensor.dtype == tf.string:
        texts = np.empty(shape, dtype=object)
        texts.fill((plan.texts or {}).get(tensor.name, plan.text))  # np.full would drop NULs at the end
        return texts
    if role:
        return fills.cast(_part(role, shape, plan), tensor.dtype)
    return fills.cast((plan.integers if tensor.dtype.is_integer else plan.numbers)(shape), tensor.dtype)


def _part(role: str, shape: tuple[int, ...], plan: Plan) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the numbers of a part, for a sparse tensor with one value in each row or a ragged one with one in each row."""
    if role == "indices":
        cells = np.zeros(shape)
        cells[:, 0] = np.arange(shape[0])
        return cells
    if role == "dense_shape":
        return np.array([plan.rows, *[plan.size] * (shape[0] - 1)], np.float64)
    return np.full(shape, plan.rows) if role == "nrows" else fills.ramp(shape)
