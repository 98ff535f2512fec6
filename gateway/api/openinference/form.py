"""The form of an inference request of the Open Inference Protocol: what can be checked without a signature.

The form is strict: an object has no member that the protocol does not have, and no member twice. Parameters are free, but for
those that have a meaning here. An optional member may be null. A field's error messages are what it expects.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from gateway.api.openinference import strictness
from gateway.api.openinference.strictness import Path
from gateway.codec.json_text import parse_json
from gateway.codec.nested_lists import MAX_RANK
from gateway.codec.problems import MISSING, Problems

MAX_SIZE: Final = 2**63 - 1
MAX_TENSORS: Final = 10_000  # of a request, on either side: none is looked at before all are known to be so few
_MAX_ELEMENTS: Final = 2**59  # of 16 bytes at most: no count of bytes overflows, in numpy or in TensorFlow
_SELF: Final = "_schema"  # under which marshmallow tells what is wrong with the object itself

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
SIGNATURE_NAME: Final = "signature_name"


def is_countable(shape: Sequence[int]) -> bool:
    """Whether numpy and TensorFlow can count the elements of ``shape``, in bytes too."""
    # Sizes beside a 0 count too: TensorFlow multiplies in order.
    return math.prod([size or 1 for size in shape] if 0 in shape else shape) <= _MAX_ELEMENTS


def _always(noun: str) -> dict[str, str | list[Any] | dict[Any, Any]]:
    return dict.fromkeys(("required", "null", "invalid"), noun)


class Typed(fields.Field[Any]):
    """A JSON value of one type exactly: marshmallow's own fields take 1.0 for an integer and "true" for a bool."""

    def __init__(self, of: type[Any], noun: str, *, required: bool = False, least: int | None = None) -> None:
        self._type, self._least = of, least
        super().__init__(required=required, allow_none=not required, error_messages=_always(noun))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if type(value) is not self._type or (self._least is not None and not self._least <= value <= MAX_SIZE):
            raise self.make_error("invalid")
        return value


class Tensors(Typed):
    """A list of tensors, each still to be read."""

    def __init__(self, noun: str, *, required: bool = False) -> None:
        super().__init__(list, f"a list of up to {MAX_TENSORS} {noun}", required=required)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if len(super()._deserialize(value, attr, data, **kwargs)) > MAX_TENSORS:
            raise self.make_error("invalid")
        return value


class Shape(fields.Field[list[int]]):
    """A list of sizes that numpy and TensorFlow can count with."""

    def __init__(self) -> None:
        super().__init__(required=True, error_messages=_always(f"a list of up to {MAX_RANK} sizes"))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[int]:
        if not isinstance(value, list) or len(value) > MAX_RANK:
            raise self.make_error("invalid")
        bad = [index for index, size in enumerate(value) if type(size) is not int or not 0 <= size <= MAX_SIZE]
        if bad:
            raise ValidationError({index: [f"a size from 0 to {MAX_SIZE}"] for index in bad})
        if not is_countable(value):
            raise ValidationError([f"sizes whose product is at most {_MAX_ELEMENTS}"])
        return value


class NotServed(fields.Field[Any]):
    """A parameter of an extension that changes where the data is, or what it means: to ignore it would give a wrong answer."""

    def __init__(self) -> None:
        super().__init__(error_messages=_always("nothing, as this extension is not served here"))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        raise self.make_error("invalid")


class _Object(Schema):
    # ``read`` tells unknown members: marshmallow would make an error of each of the million that a hostile body has.
    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "an object"}  # noqa: RUF012 - marshmallow's way to set them


class _TensorParameters(_Object):
    classification = NotServed()
    shared_memory_region = NotServed()


class _InputParameters(_TensorParameters):
    binary_data_size = Typed(int, "a number of bytes", least=0)


class _OutputParameters(_TensorParameters):
    binary_data = Typed(bool, "true or false")


class _RequestParameters(_Object):
    binary_data_output = Typed(bool, "true or false")
    signature_name = Typed(str, "a string")


class Input(_Object):
    """One of ``inputs``; its data is passed on as it is."""

    name = Typed(str, "a string", required=True)
    datatype = Typed(str, "a string", required=True)
    shape = Shape()
    parameters = fields.Nested(_InputParameters, allow_none=True)
    data = fields.Raw(allow_none=True)


class Output(_Object):
    """One of ``outputs``: a tensor that the client wants."""

    name = Typed(str, "a string", required=True)
    parameters = fields.Nested(_OutputParameters, allow_none=True)


class Request(_Object):
    """The request, without the members of its lists. KServe's client repeats the path's ``model_name`` there."""

    error_messages = {"type": "an inference request, which is an object"}  # noqa: RUF012
    id = Typed(str, "a string")
    model_name = Typed(str, "a string")
    parameters = fields.Nested(_RequestParameters, allow_none=True)
    inputs = Tensors("tensors", required=True)
    outputs = Tensors("outputs")


class RepositoryIndex(_Object):
    """The request for the index of models."""

    ready = Typed(bool, "true or false")


NOT_SERVED: Final = frozenset(_TensorParameters().fields)
REQUEST: Final = Request()
INPUT: Final = Input()
OUTPUT: Final = Output()
REPOSITORY_INDEX: Final = RepositoryIndex()


def read(schema: Schema, value: Any, path: Path, problems: Problems) -> dict[str, Any]:
    """The members of ``value``, which stands at ``path``, that fit ``schema``; every other problem goes to ``problems``.

    If a parameter is wrong, the parameters are only those that have a meaning here and are right.
    """
    try:
        members: dict[str, Any] = schema.load(value)
        if members.get("parameters") is not None:
            members["parameters"] = value["parameters"]
    except ValidationError as error:
        error.__traceback__ = None  # a frame of marshmallow's holds it: together they would hold this request's body
        for inner, expected in _messages(error.messages_dict):
            problems.add((*path, *inner), expected, _at(value, inner))
        members = error.valid_data if isinstance(error.valid_data, dict) else {}
    if isinstance(value, dict):
        strictness.find(schema.fields, value, path, problems)
    return members


def wants_only_ready(body: bytes) -> bool:
    """Whether a request for the index of models asks only for those that are ready. An empty ``body`` asks for all.

    Raises InvalidArgument for a body that is not one JSON object of this form.
    """
    if not body:
        return False
    problems = Problems()
    members = read(REPOSITORY_INDEX, parse_json(body, strict=True), (), problems)
    if problems.count:
        raise problems.invalid_argument("this is no request for the index:")
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
