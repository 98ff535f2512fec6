"""A :classify or :regress body -> Examples, in TensorFlow Serving's order and words (``util/json_tensor.cc``).

Every member of an example is a feature, and the JSON type of its values gives its kind: strings and b64 objects are bytes, a
number with a point or an exponent is a float, and any other number, true and false are integers. All values are of one kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.api.tfserving.wording import document_refusal, json_type
from gateway.codec import b64
from gateway.codec.b64 import decode_base64
from gateway.codec.problems import MISSING, Problems, cut_text
from gateway.codec.raw_text import bytes_of_raw_text
from gateway.errors import InvalidArgument
from gateway.inference.examples import Example, Examples, Feature, Kind

KEY: Final = "examples"
CONTEXT_KEY: Final = "context"
_KINDS: Final[Mapping[type, Kind]] = {str: "bytes", dict: "bytes", float: "float", int: "int64", bool: "int64"}
_KIND_PHRASES: Final[Mapping[Kind, str]] = {
    "bytes": "string or b64 object",
    "float": "float, written with a decimal point",
    "int64": "integer, true or false",
}
_INT64_MAX: Final = 2**63 - 1
_NAME_LENGTH: Final = 200


def load_examples(document: Mapping[str, Any]) -> Examples:
    """The examples of a body, and its context.

    Raises InvalidArgument: upstream's text for its first problem, then every problem with its place.
    """
    context = _example(document.get(CONTEXT_KEY, {}))
    if context is None or any(_example(item) is None for item in _items(document)):
        raise _refusal(document)
    return Examples(_Items(document[KEY]), context if CONTEXT_KEY in document else None)


class _Items(Sequence[Example]):
    """The examples of ``items``, each made when it is asked for: all of them would take many times the memory of the body."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return _example(self._items[index])


def _items(document: Mapping[str, Any]) -> list[Any]:
    items = document.get(KEY, MISSING)
    if items is MISSING:
        raise document_refusal(document, f"When method is classify, key '{KEY}' is expected and was not found")
    if not isinstance(items, list):
        raise document_refusal(document, f"Expecting '{KEY}' value to be an list/array")
    if not items:
        raise document_refusal(document, f"'{KEY}' value is an empty array")
    return items


def _example(value: Any) -> Example | None:
    """The features of ``value``, or None if it is no example."""
    if not isinstance(value, dict):
        return None
    features = {name: made for name, member in value.items() if (made := _feature(member)) is not None}
    return features if len(features) == len(value) else None


def _feature(value: Any) -> Feature | None:
    items = value if isinstance(value, list) else [value]
    if not items:
        return Feature(None, ())
    kind, *others = {_KINDS.get(type(item)) for item in items}
    if others or kind is None:
        return None
    if kind == "float":
        with np.errstate(over="ignore"):
            return Feature(kind, np.array(items, dtype=np.float64).astype(np.float32).tolist())
    if kind == "int64":
        return Feature(kind, list(map(int, items))) if max(items) <= _INT64_MAX else None
    try:
        return Feature(kind, [bytes_of_raw_text(item) if isinstance(item, str) else _decoded(item) for item in items])
    except ValueError:
        return None


def _decoded(item: dict[str, Any]) -> bytes:
    if not b64.is_b64(item):
        raise ValueError("not a b64 object")
    return decode_base64(item[b64.KEY])


class _Misfit(NamedTuple):
    """One thing that is wrong: upstream's text for it, where it is, what should be there, what is."""

    text: str
    path: tuple[str | int, ...]
    expected: str
    got: Any


def _refusal(document: Mapping[str, Any]) -> InvalidArgument:
    problems, first = Problems(), ""
    for misfit in _misfits(document):
        first = first or misfit.text
        problems.add(misfit.path, misfit.expected, misfit.got)
        if not problems.room:
            break
    return problems.invalid_argument(first)


def _misfits(document: Mapping[str, Any]) -> Iterator[_Misfit]:
    """What is wrong with the context and the examples, in upstream's order."""
    if CONTEXT_KEY in document:
        yield from _example_misfits((CONTEXT_KEY,), document[CONTEXT_KEY])
    items = document.get(KEY)
    for index, item in enumerate(items if isinstance(items, list) else []):
        yield from _example_misfits((KEY, index), item)


def _example_misfits(path: tuple[str | int, ...], value: Any) -> Iterator[_Misfit]:
    if not isinstance(value, dict):
        text = f"Example must be JSON object but got JSON {json_type(value)}"
        yield _Misfit(text, path, "an object of features", value)
        return
    for name, member in value.items():
        if _feature(member) is None:
            yield from _feature_misfits((*path, name), cut_text(name, _NAME_LENGTH), member)


def _feature_misfits(path: tuple[str | int, ...], name: str, member: Any) -> Iterator[_Misfit]:
    items = member if isinstance(member, list) else [member]
    kind = next((kind for kind in map(_kind_of, items) if kind), None)
    expected = _KIND_PHRASES[kind] if kind else "string, b64 object, number, true or false"
    for index, item in enumerate(items):
        place = (*path, index) if isinstance(member, list) else path
        found = _kind_of(item)
        if found is None:
            text = f"Feature: {name} has element with unexpected JSON type: {json_type(item)}"
            yield _Misfit(text, place, expected, item)
        elif found != kind:
            text = f"Unexpected element type in feature: {name} expecting type: {kind}"
            yield _Misfit(text, place, f"{expected}, as the first value", item)
        elif found == "int64" and item > _INT64_MAX:
            text = f"Feature: {name} has uint64_t element. Only int64_t is supported."
            yield _Misfit(text, place, f"integer up to {_INT64_MAX}", item)
        elif isinstance(item, dict) and _feature(item) is None:
            yield _Misfit("Unable to base64 decode", place, '{"b64": base64 text}', item)


def _kind_of(item: Any) -> Kind | None:
    return None if isinstance(item, dict) and not b64.is_b64(item) else _KINDS.get(type(item))
