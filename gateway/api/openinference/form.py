"""The form of an inference request of the Open Inference Protocol, which no signature is needed to know.

Optional members may be null; members that the protocol does not have are ignored. A field's error messages are what it expects.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from gateway.codec.nested_lists import MAX_RANK
from gateway.codec.problems import MISSING, Problems

Path: TypeAlias = tuple[str | int, ...]

_MAX_SIZE: Final = 2**63 - 1
_MAX_ELEMENTS: Final = 2**59  # of 16 bytes at most: no count of bytes overflows, in numpy or in TensorFlow
_SELF: Final = "_schema"  # under which marshmallow tells what is wrong with the object itself

SIGNATURE_NAME: Final = "signature_name"


def _always(noun: str) -> dict[str, str | list[Any] | dict[Any, Any]]:
    return dict.fromkeys(("required", "null", "invalid"), noun)


class Typed(fields.Field[Any]):
    """A JSON value of one type exactly: marshmallow's own fields take 1.0 for an integer and "true" for a bool."""

    def __init__(self, of: type[Any], noun: str, *, required: bool = False, least: int | None = None) -> None:
        self._type, self._least = of, least
        super().__init__(required=required, allow_none=not required, error_messages=_always(noun))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if type(value) is not self._type or (self._least is not None and not self._least <= value <= _MAX_SIZE):
            raise self.make_error("invalid")
        return value


class Shape(fields.Field[tuple[int, ...]]):
    """A list of sizes -> a tuple that numpy and TensorFlow can count with."""

    def __init__(self) -> None:
        super().__init__(required=True, error_messages=_always(f"a list of up to {MAX_RANK} sizes"))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> tuple[int, ...]:
        if not isinstance(value, list) or len(value) > MAX_RANK:
            raise self.make_error("invalid")
        bad = [index for index, size in enumerate(value) if type(size) is not int or not 0 <= size <= _MAX_SIZE]
        if bad:
            raise ValidationError({index: [f"a size from 0 to {_MAX_SIZE}"] for index in bad})
        # Sizes beside a 0 count too: TensorFlow multiplies in order.
        if math.prod(size or 1 for size in value) > _MAX_ELEMENTS:
            raise ValidationError(["sizes whose product is at most 576460752303423488"])
        return tuple(value)


class _Open(Schema):
    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "an object"}  # noqa: RUF012 - marshmallow's way to set them


class _InputParameters(_Open):
    binary_data_size = Typed(int, "a number of bytes", least=0)


class _OutputParameters(_Open):
    binary_data = Typed(bool, "true or false")


class _RequestParameters(_Open):
    binary_data_output = Typed(bool, "true or false")
    signature_name = Typed(str, "a string")


class Input(_Open):
    """One of ``inputs``, less its data, which is passed on as it is."""

    name = Typed(str, "a string", required=True)
    datatype = Typed(str, "a string", required=True)
    shape = Shape()
    parameters = fields.Nested(_InputParameters, allow_none=True)
    data = fields.Raw(allow_none=True)


class Output(_Open):
    """One of ``outputs``: a tensor that the client wants."""

    name = Typed(str, "a string", required=True)
    parameters = fields.Nested(_OutputParameters, allow_none=True)


class Request(_Open):
    """The request, less the members of its lists."""

    error_messages = {"type": "an inference request, which is an object"}  # noqa: RUF012
    id = Typed(str, "a string")
    parameters = fields.Nested(_RequestParameters, allow_none=True)
    inputs = Typed(list, "a list of tensors", required=True)
    outputs = Typed(list, "a list of outputs")


class RepositoryIndex(_Open):
    """The request for the index of models."""

    ready = Typed(bool, "true or false")


REQUEST: Final = Request()
INPUT: Final = Input()
OUTPUT: Final = Output()
REPOSITORY_INDEX: Final = RepositoryIndex()


def read(schema: Schema, value: Any, path: Path, problems: Problems) -> dict[str, Any]:
    """The members of ``value``, which stands at ``path``, that are as ``schema`` has them; ``problems`` gets the others."""
    accepted = _accepted(schema, value)
    if accepted is not None:
        return accepted
    try:
        members: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        error.__traceback__ = None  # a frame of marshmallow's holds it: together they would hold this request's body
        for inner, expected in _messages(error.messages_dict):
            problems.add((*path, *inner), expected, _at(value, inner))
        members = error.valid_data if isinstance(error.valid_data, dict) else {}
    return members


def _accepted(schema: Schema, value: Any) -> dict[str, Any] | None:
    """What ``schema`` loads, by its own fields but without its way of telling what is wrong; None if something is."""
    if not isinstance(value, dict):
        return None
    members: dict[str, Any] = {}
    for name, field in schema.load_fields.items():
        if name not in value:
            if field.required:
                return None
            continue
        member = value[name]
        if isinstance(field, fields.Nested) and member is not None:
            member = _accepted(field.schema, member)
            if member is None:
                return None
            members[name] = member
            continue
        try:
            members[name] = field.deserialize(member)
        except ValidationError:
            return None
    return members


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
