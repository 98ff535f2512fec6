"""The form of an inference request of the Open Inference Protocol: what can be checked without a signature.

The form is strict: an object has no member that the protocol does not have, no member twice, and no number that is not finite.
Parameters are free, but for those that have a meaning here. An optional member may be null. A field's error message is what it
expects.
"""

import difflib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from gateway.codec.json_text import parse_json
from gateway.codec.nested_lists import MAX_RANK
from gateway.codec.problems import MAX_PROBLEMS, MISSING, Problems, Repeating, cut_text, describe_value

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
SIGNATURE_NAME: Final = "signature_name"
BINARY_SIZE: Final = "binary_data_size"

MAX_SIZE: Final = 2**63 - 1
MAX_TENSORS: Final = 10_000  # of a request, on either side: none is looked at before all are known to be so few
_MAX_ELEMENTS: Final = 2**59  # of 16 bytes at most: no count of bytes overflows, in numpy or in TensorFlow
_COUNTABLE: Final = f"sizes whose product (with 1 for a size of 0) is at most {_MAX_ELEMENTS}"
_MOST_COMPARED: Final = 100  # characters of an unknown name that are compared with the known ones
_MOST_SHOWN: Final = 200  # characters of a shape
_SELF: Final = "_schema"  # under which marshmallow tells what is wrong with the object itself

Path: TypeAlias = tuple[str | int, ...]


def is_countable(shape: Sequence[int]) -> bool:
    """Whether numpy and TensorFlow can count the elements of ``shape``, in bytes too."""
    # Sizes beside a 0 count too: TensorFlow multiplies in order.
    return math.prod([size or 1 for size in shape] if 0 in shape else shape) <= _MAX_ELEMENTS


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIZE


def _is_shape(value: Any) -> bool:
    """Raises ValidationError for a list whose sizes are wrong."""
    if not isinstance(value, list) or len(value) > MAX_RANK:
        return False
    bad = [index for index, size in enumerate(value) if not _is_size(size)]
    if bad:
        raise ValidationError({index: [f"a size from 0 to {MAX_SIZE}"] for index in bad})
    if not is_countable(value):
        raise ValidationError([_COUNTABLE])
    return True


class Member(fields.Field[Any]):
    """A JSON value that ``fits``. An optional one may be null unless ``is_null_allowed`` says no."""

    def __init__(self, noun: str, fits: Callable[[Any], bool], *, required: bool = False, is_null_allowed: bool = True) -> None:
        self.fits = fits
        messages: dict[str, Any] = dict.fromkeys(("required", "null", "invalid"), noun)
        super().__init__(required=required, allow_none=is_null_allowed and not required, error_messages=messages)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not self.fits(value):
            raise self.make_error("invalid")
        return value


def _text(*, required: bool = False) -> Member:
    return Member("a string", lambda value: type(value) is str, required=required)


def _flag() -> Member:
    return Member("true or false", lambda value: type(value) is bool)


def _tensors(noun: str, *, required: bool = False) -> Member:
    expected = f"a list of up to {MAX_TENSORS} {noun}"
    return Member(expected, lambda value: isinstance(value, list) and len(value) <= MAX_TENSORS, required=required)


def _not_served() -> Member:
    # The parameter changes where the data is, or what it means: to ignore it would give a wrong answer.
    return Member("nothing, as this extension is not served here", lambda _: False, is_null_allowed=False)


def _schema(members: Mapping[str, fields.Field[Any]], noun: str = "an object") -> Schema:
    # ``read_members`` tells unknown members: marshmallow would make an error of each of the million that a hostile body has.
    schema = Schema.from_dict(dict(members))(unknown=EXCLUDE)
    schema.error_messages["type"] = noun
    return schema


def _object(members: Mapping[str, Member]) -> fields.Nested:
    return fields.Nested(_schema(members), allow_none=True)


# The parameters that have a meaning here.
_OF_TENSORS: Final = {"classification": _not_served(), "shared_memory_region": _not_served()}
INPUT_PARAMETERS: Final = _OF_TENSORS | {BINARY_SIZE: Member("a number of bytes", _is_size)}
OUTPUT_PARAMETERS: Final = _OF_TENSORS | {"binary_data": _flag()}
REQUEST_PARAMETERS: Final = {"binary_data_output": _flag(), SIGNATURE_NAME: _text()}

# The data of an input is passed on as it is; the members of lists are read by themselves.
INPUT: Final = _schema(
    {
        "name": _text(required=True),
        "datatype": _text(required=True),
        "shape": Member(f"a list of up to {MAX_RANK} sizes", _is_shape, required=True),
        "parameters": _object(INPUT_PARAMETERS),
        "data": fields.Raw(allow_none=True),
    }
)
OUTPUT: Final = _schema({"name": _text(required=True), "parameters": _object(OUTPUT_PARAMETERS)})
REQUEST: Final = _schema(
    {
        "id": _text(),
        "model_name": _text(),  # KServe's client repeats that of the path
        "parameters": _object(REQUEST_PARAMETERS),
        "inputs": _tensors("tensors", required=True),
        "outputs": _tensors("outputs"),
    },
    "an inference request, which is an object",
)
_REPOSITORY_INDEX: Final = _schema({"ready": _flag()})


def read_members(schema: Schema, value: Any, path: Path, problems: Problems) -> dict[str, Any]:
    """The members of ``value``, which stands at ``path``, that fit ``schema``; every other problem goes to ``problems``.

    Of the parameters only those that have a meaning here are given.
    """
    try:
        members: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        error.__traceback__ = None  # a frame of marshmallow's holds it: together they would hold this request's body
        for inner, expected in _messages(error.messages_dict):
            found = _at(value, inner)
            got = cut_text(str(found), _MOST_SHOWN) if expected is _COUNTABLE else describe_value(found)
            problems.note((*path, *inner), expected, got)
        members = error.valid_data if isinstance(error.valid_data, dict) else {}
    if isinstance(value, dict):
        _note_unknown(schema.fields, value, path, problems)
        for place, expected, got in islice(_misplaced(value, path), problems.room):
            problems.note(place, expected, got)
    return members


def wants_only_ready(body: bytes) -> bool:
    """Whether a request for the index of models asks only for those that are ready. An empty ``body`` asks for all.

    Raises InvalidArgument for a body that is not one JSON object of this form.
    """
    if not body:
        return False
    problems = Problems()
    members = read_members(_REPOSITORY_INDEX, parse_json(body, strict=True), (), problems)
    if problems.count:
        raise problems.invalid_argument("the body is not a request for the index:")
    return bool(members.get("ready"))


def _messages(messages: Mapping[Any, Any], path: Path = ()) -> Iterator[tuple[Path, str]]:
    for step, inner in messages.items():
        place = path if step == _SELF else (*path, step)
        if isinstance(inner, dict):
            yield from _messages(inner, place)
        else:
            yield from ((place, message) for message in inner)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, str) and step not in value:
            return MISSING
        value = value[step]
    return value


def _note_unknown(known: Collection[str], value: dict[str, Any], path: Path, problems: Problems) -> None:
    for name in islice((name for name in value if name not in known), problems.room):
        is_told = len(problems.kept) < MAX_PROBLEMS
        near = difflib.get_close_matches(name[:_MOST_COMPARED].lower(), known, n=1) if is_told else []
        hint = f" (the nearest is {near[0]})" if near else ""
        problems.note((*path, name), f"only the members {', '.join(known)}{hint}", "an unknown name")


def _misplaced(value: dict[str, Any], path: Path) -> Iterator[tuple[Path, str, str]]:
    """What strict JSON does not have in ``value`` and anywhere in its parameters: the place, what was expected, what came."""
    yield from _repeated(value, path)
    # Neither recursion nor a list of all that is still to be seen: the parameters may be deep, and may be large.
    within: list[Iterator[tuple[Path, Any]]] = [iter((((*path, "parameters"), value.get("parameters")),))]
    while within:
        place, item = next(within[-1], (None, None))
        if place is None:
            within.pop()
        elif isinstance(item, dict | list):
            yield from _repeated(item, place)
            within.append(_members(item, place))
        elif isinstance(item, float) and not math.isfinite(item):
            yield place, "a number that JSON has", describe_value(item)


def _repeated(value: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    for name in value.repeated if isinstance(value, Repeating) else ():
        yield (*path, name), "each member once", "a repeated name"


def _members(value: dict[str, Any] | list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return (((*path, step), item) for step, item in items)
