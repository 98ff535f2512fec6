"""The bodies of requests that change keys: a new key, and how long the old ones stay valid after a rotation."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import orjson
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from gateway.access.key import EVERY_MODEL
from gateway.access.wanted_key import (
    DEFAULT_OVERLAP,
    DEFAULT_SCOPES,
    LEAST_LIFETIME,
    WantedKey,
    expected_length,
    parse_length,
)
from gateway.errors import InvalidArgument, Problem

_MOST_PROBLEMS: Final = 20
_MOST_GOT: Final = 60
_MOST_LIST: Final = 1000
_MOST_LIMITS: Final = 10_000  # characters
_SELF: Final = "_schema"  # under which marshmallow tells what is wrong with the object itself


def _always(expected: str) -> dict[str, Any]:
    return dict.fromkeys(("required", "null", "invalid", "invalid_utf8"), expected)


class _Length(fields.Field[timedelta]):
    """A length of time, such as ``24h``, of at least ``least``."""

    def __init__(self, least: timedelta, **options: Any) -> None:
        super().__init__(error_messages=_always(expected_length(least)), **options)
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> timedelta:
        try:
            return parse_length(value if type(value) is str else "", self._least)
        except ValueError:
            raise self.make_error("invalid") from None


def _texts(what: str, default: tuple[str, ...]) -> fields.Field[Any]:
    one = fields.String(error_messages=_always("a string"))
    most = validate.Length(max=_MOST_LIST, error=f"at most {_MOST_LIST} of them")
    return fields.List(one, load_default=list(default), validate=most, error_messages=_always(f"a list of {what}"))


class _Body(Schema):
    class Meta:
        unknown = RAISE

    error_messages = {"type": "a JSON object"}  # noqa: RUF012 - marshmallow's way to set them


class _New(_Body):
    name = fields.String(required=True, error_messages=_always("the name of the key, a string"))
    scopes = _texts("scopes", DEFAULT_SCOPES)
    models = _texts("names or patterns of models", EVERY_MODEL)
    limits = fields.String(
        load_default="",
        validate=validate.Length(max=_MOST_LIMITS, error=f"at most {_MOST_LIMITS} characters"),
        error_messages=_always("limits such as '100/day; 30/hour', or an empty string"),
    )
    expires = _Length(LEAST_LIFETIME, load_default=None, allow_none=True)


class _Rotate(_Body):
    overlap = _Length(timedelta(0), load_default=parse_length(DEFAULT_OVERLAP, timedelta(0)))


_NEW: Final = _New()
_ROTATE: Final = _Rotate()
_NOTHING: Final = _Body()


def read_wanted(body: bytes) -> WantedKey:
    """The key that a body asks for. Raises InvalidArgument, which says all that is wrong with its members' types."""
    read = _read(_NEW, body)
    return WantedKey(read["name"], tuple(read["scopes"]), tuple(read["models"]), read["limits"], read["expires"])


def read_overlap(body: bytes) -> timedelta:
    """How long the old keys stay valid. The body may be left out. Raises InvalidArgument."""
    overlap: timedelta = _read(_ROTATE, body or b"{}")["overlap"]
    return overlap


def read_nothing(body: bytes) -> None:
    """Refuse a body that is more than an empty object. Raises InvalidArgument."""
    _read(_NOTHING, body or b"{}")


def _read(schema: Schema, body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid([Problem("", "a JSON object", str(error).partition(": line")[0])]) from None
    try:
        read: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        raise _invalid(list(_problems(error.messages_dict, "", document, schema))) from None
    return read


def _problems(messages: Mapping[Any, Any], pointer: str, document: Any, schema: Schema) -> Iterator[Problem]:
    for name, found in messages.items():
        if name == _SELF:
            yield Problem(pointer, found[0], _described(document))
            continue
        at = f"{pointer}/{_escaped(str(name))}"
        value, has_value = _member(document, name)
        if isinstance(found, dict):
            yield from _problems(found, at, value, schema)
        elif isinstance(name, str) and name not in schema.fields:
            members = ", ".join(schema.fields)
            yield Problem(at, f"only the members {members}" if members else "nothing", "an unknown member")
        else:
            yield Problem(at, found[0], _described(value) if has_value else "nothing")


def _member(document: Any, name: Any) -> tuple[Any, bool]:
    """What stands at ``name`` in an object or a list, and whether there is something."""
    if isinstance(document, dict) and name in document:
        return document[name], True
    is_in = isinstance(document, list) and isinstance(name, int) and name < len(document)
    return (document[name] if is_in else None), is_in


def _described(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return orjson.dumps(value).decode()[:_MOST_GOT]


def _escaped(name: str) -> str:
    return name[:_MOST_GOT].replace("~", "~0").replace("/", "~1")


def _invalid(problems: list[Problem]) -> InvalidArgument:
    told = problems[:_MOST_PROBLEMS]
    return InvalidArgument("; ".join(map(str, told)), told, len(problems) - len(told))
