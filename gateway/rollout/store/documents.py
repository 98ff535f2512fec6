"""Plans, events, sums and samples as JSON text in the database. Fields that are not known are passed over when read."""

import math
from typing import Any, TypeVar

import msgspec

from gateway.rollout.evidence.totals import Totals
from gateway.rollout.plan import Event, Plan

_Value = TypeVar("_Value")


def text_of(value: Plan | Event | Totals | dict[str, Any]) -> str:
    """The JSON text. JSON has no infinity: a log weight of minus infinity is null."""
    return msgspec.json.encode(value).decode()


def plan_of(text: str) -> Plan:
    """The plan of such a text. Raises msgspec.MsgspecError for any other, as the functions below do."""
    return _decoded(text, Plan)


def event_of(text: str) -> Event:
    """The event of such a text."""
    return _decoded(text, Event)


def totals_of(text: str) -> Totals:
    """The sums of such a text."""
    if "null" not in text:  # a second is too short for the long way, with thousands of rows
        return _decoded(text, Totals)
    return msgspec.convert({name: _weights(value) for name, value in json_of(text).items()}, Totals)


def json_of(text: str) -> dict[str, Any]:
    """The JSON object of such a text."""
    return _decoded(text, dict[str, Any])


def seen_of(text: str) -> dict[str, int]:
    """The revisions of such a text, by the plans' ids."""
    return _decoded(text, dict[str, int])


def _decoded(text: str, kind: type[_Value]) -> _Value:
    return msgspec.json.decode(text, type=kind)


def _weights(value: Any) -> Any:
    return [-math.inf if weight is None else weight for weight in value] if isinstance(value, list) else value
