"""The query of ``GET /admin/log``: which rows are wanted, as the options of ``log tail`` say it."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from gateway.access.key_text import hide_secrets
from gateway.errors import InvalidArgument
from gateway.prediction_log.sinks.filter_text import parse_statuses, parse_time_us
from gateway.prediction_log.sinks.sink import Filter

MOST_ROWS: Final = 500
_ROWS: Final = 50
_MOST_PARTS: Final = 20
_MOST_TEXT: Final = 200
_MOST_VERSION: Final = 2**63 - 1


def read_query(query: str) -> Filter:
    """The filter that a query means; a value that is empty counts as left out.

    Raises:
        InvalidArgument: a parameter is unknown, comes twice or has a bad value. The message names each.
    """
    given: dict[str, Any] = {"newest": _ROWS}
    parts = _parts(query)
    names = [name for name, _ in parts]
    problems = []
    for name, text in parts:
        if name not in _PARAMETERS:
            problems.append(f"{name[:_MOST_TEXT]}: expected one of {', '.join(_PARAMETERS)}")
        elif names.count(name) > 1:
            problems.append(f"{name}: expected it once")
        else:
            member, read = _PARAMETERS[name]
            try:
                given[member] = read(text)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    if problems:
        raise InvalidArgument(hide_secrets(f"the query: {'; '.join(problems)}"))
    return Filter(**given)


def _parts(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=_MOST_PARTS)
    except ValueError:
        raise InvalidArgument(f"the query: expected at most {_MOST_PARTS} parameters") from None


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text[: len(str(most)) + 1]) <= most:
            return int(text)
        raise ValueError(f"{text[:_MOST_TEXT]!r}: expected a whole number from {least} to {most}")

    return read


def _text(text: str) -> str:
    if len(text) > _MOST_TEXT or not text.isprintable():
        raise ValueError(f"{text[:_MOST_TEXT]!r}: expected up to {_MOST_TEXT} printable characters")
    return text


def _ids(text: str) -> frozenset[str]:
    return frozenset([_text(text)])


_PARAMETERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "model": ("model", _text),
    "version": ("version", _number(0, _MOST_VERSION)),
    "status": ("statuses", lambda text: parse_statuses(_text(text))),
    "n": ("newest", _number(1, MOST_ROWS)),
    "from": ("from_us", lambda text: parse_time_us(_text(text))),
    "request": ("request_ids", _ids),
}
