"""Nested lists and tensors: the shape, the flat elements, the array; and, when there is none, every reason why.

A tensor is given as lists nested to its rank, all lists of one level equally long, and its elements innermost.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

from gateway.codec.elements import Array, Element, convert_numbers, encode_elements, fits_element, misfit_elements
from gateway.codec.large_json import NumberBlock
from gateway.codec.problems import Problems

MAX_RANK: Final = 64  # numpy's
_BLOCK: Final = 256  # lists that are checked at once before each is looked at

Dims: TypeAlias = tuple[int | None, ...]
"""The sizes that a tensor's dimensions must have; None: free."""


def shape_of_lists(value: Any) -> tuple[int, ...]:
    """The shape that the first element of each level gives (``GetDenseTensorShape``)."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def lists_to_array(value: Any, kind: Element, dims: Dims | None = None) -> Array | None:
    """``value``, a JSON value or a NumberBlock, as an array of ``kind`` elements.

    None if it is no such array, or if ``dims`` asks for another shape.
    """
    shape = value.shape if isinstance(value, NumberBlock) else shape_of_lists(value)
    full = _full_shape(shape, dims)
    if full is None or len(shape) > MAX_RANK:
        return None
    if isinstance(value, NumberBlock):
        array = convert_numbers(value.values, kind)
    else:
        items = _flatten(value, shape)
        array = None if items is None else encode_elements(items, kind)
    return None if array is None else array.reshape(full)


def find_list_problems(value: Any, kind: Element, dims: Dims | None = None) -> Problems:
    """The reasons why ``lists_to_array`` gives None, with pointers relative to ``value``, in the order of the document."""
    problems = Problems()
    shape = shape_of_lists(value)
    if len(shape) > MAX_RANK:
        problems.note((), f"at most {MAX_RANK} nested lists", f"{len(shape)} of them")
        return problems
    # An even block of another shape is one problem, and not one for each of its lists.
    is_other = _full_shape(shape, dims) is None
    if dims and shape and len(dims) + len(shape) > 2 and is_other and _flatten(value, shape) is not None:
        problems.note((), f"{kind.plural} of shape {_text(dims)}", f"shape {_text(shape)}")
        if lists_to_array(value, kind) is not None:
            return problems
        dims = shape
    _walk(value, (), _resolve(shape if dims is None else dims, shape), kind, problems)
    return problems


def complete_tensors(tensors: Iterable[tuple[str, Array | None]]) -> dict[str, Array] | None:
    """``tensors`` by name; None if one of them is None."""
    complete: dict[str, Array] = {}
    for name, array in tensors:
        if array is None:
            return None
        complete[name] = array
    return complete


def _flatten(value: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The elements in row-major order, or None unless every list of a level is as long as ``shape`` says."""
    items = [value]
    for size in shape:
        if set(map(type, items)) - {list} or set(map(len, items)) - {size}:
            return None
        items = list(chain.from_iterable(items))
    return items


def _full_shape(shape: tuple[int, ...], dims: Dims | None) -> tuple[int, ...] | None:
    """``shape``, and below an empty list, which does not show them, the sizes of ``dims``. None if ``dims`` asks for others."""
    if dims is None:
        return shape
    if 0 in shape:
        shape += tuple(size or 0 for size in dims[len(shape) :])
    fits_dims = len(shape) == len(dims) and all(want in (None, size) for want, size in zip(dims, shape, strict=True))
    return shape if fits_dims else None


def _resolve(dims: Dims, shape: tuple[int, ...]) -> Dims:
    """``dims`` with the free ones as long as the first list of their level, so that ragged lists are found."""
    return tuple(shape[level] if size is None and level < len(shape) else size for level, size in enumerate(dims))


def _text(dims: Dims) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in dims) + "]"


def _walk(value: Any, path: tuple[int, ...], dims: Dims, kind: Element, problems: Problems) -> None:
    if not dims:
        if not fits_element(value, kind):
            problems.add(path, kind.expectation(value), value)
        return
    size, inner = dims[0], dims[1:]
    if not isinstance(value, list) or (size is not None and len(value) != size):
        problems.add(path, _list_phrase(size, "lists" if inner else kind.plural), value)
    if not isinstance(value, list):
        return
    for index in _suspects(value, inner, kind) if inner else misfit_elements(value, kind):
        _walk(value[index], (*path, index), inner, kind, problems)
        if not problems.room:
            return


def _suspects(items: list[Any], inner: Dims, kind: Element) -> Iterator[int]:
    """The indices of the lists in ``items``, without those of blocks that have no problem."""
    for start in range(0, len(items), _BLOCK):
        block = items[start : start + _BLOCK]
        if lists_to_array(block, kind, (len(block), *inner)) is None:
            yield from range(start, start + len(block))


def _list_phrase(size: int | None, plural: str) -> str:
    if size is None:
        return f"list of {plural}"
    return f"list of {size} {plural.removesuffix('s') if size == 1 else plural}"
