"""Limits as text and as values: ``100/day; 30/hour``, ``600/min;burst=50``, ``20000/min;unit=row``, ``parallel=8``.

Semicolons separate both limits and options. A part that is ``burst=``, ``unit=`` or ``per=`` is an option of the limit before
it; every other part begins a limit.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, cast, get_args

Unit: TypeAlias = Literal["request", "row", "byte", "model_ms"]

MAX_WINDOW: Final = 256
"""The most requests a period that are counted one by one."""

_MAX_AMOUNT: Final = 10**12
_SECOND_NS: Final = 10**9
_PERIODS: Final = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86400}
_MAX_PERIOD_S: Final = 31 * 86400
_RATE: Final = re.compile(r"([^/]*)/(\d*)([A-Za-z]+)")
_LIMIT: Final = "a limit such as '100/day' or 'parallel=8'"
_UNITS: Final = get_args(Unit)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``amount`` of ``unit`` in ``period_ns``, or ``amount`` requests in work at a time if ``period_ns`` is 0.

    ``burst``: how much may come at once, or None where the text does not say. ``per_model``: counted for each model apart.
    ``text`` is the limit as it was written, less its spaces.
    """

    text: str
    amount: int
    period_ns: int
    unit: Unit = "request"
    burst: int | None = None
    per_model: bool = False

    @property
    def is_parallel(self) -> bool:
        """Whether it limits the requests in work at a time."""
        return self.period_ns == 0

    @property
    def is_window(self) -> bool:
        """Whether each request is remembered, so that *no* period has more than ``amount``."""
        counts_each = self.unit == "request" and self.burst is None and self.amount <= MAX_WINDOW
        return counts_each and not self.is_parallel

    @property
    def is_rate(self) -> bool:
        """Whether it is neither a window nor a number of requests at a time."""
        return not self.is_parallel and not self.is_window

    @property
    def at_once(self) -> int:
        """The most that may come at once."""
        return self.amount if self.burst is None else self.burst


def parse_limits(text: str) -> tuple[Limit, ...]:
    """The limits that ``text`` lists, at least one.

    Raises:
        ValueError: it is not a list of limits; the message says which part, what was expected and what came.
    """
    limits: list[Limit] = []
    given: set[str] = set()  # the options of the last limit
    for written in text.split(";"):
        part = "".join(written.split())
        name, equals, value = part.partition("=")
        option = _OPTIONS.get(name)
        if option is None or not equals:
            limits.append(_limit(part, written.strip()))
            given.clear()
        elif not limits:
            raise _error(text, f"{_LIMIT} before its option", part)
        elif name in given:
            raise _error(text, f"{name} once for a limit", f"a second one, {value!r}")
        else:
            limits[-1] = replace(option(limits[-1], value), text=f"{limits[-1].text};{part}")
            given.add(name)
    _refuse_repeated(text, limits)
    return tuple(limits)


def _refuse_repeated(text: str, limits: Sequence[Limit]) -> None:
    for limit in limits:
        if limits.count(limit) > 1:
            raise _error(text, "each limit once", f"{limit.text!r} twice")
    parallel = [limit.per_model for limit in limits if limit.is_parallel]
    if len(set(parallel)) < len(parallel):
        raise _error(text, "parallel= once", "a second one")


def _limit(part: str, written: str) -> Limit:
    if part.startswith("parallel="):
        return Limit(part, _number("parallel", part.removeprefix("parallel=")), 0)
    matched = _RATE.fullmatch(part)
    if matched is None:
        expected = f"{_LIMIT}, or an option burst=, unit= or per=, with semicolons between them"
        raise ValueError(f"expected {expected}, got {written!r}")
    amount, count, name = matched.groups()
    seconds = _PERIODS.get(name) or _PERIODS.get(name.removesuffix("s"))
    if seconds is None:
        raise ValueError(f"{part!r}: expected a period of {', '.join(_PERIODS)}, got {name!r}")
    period_s = _number(f"{part!r}: periods", count or "1", _MAX_PERIOD_S) * seconds
    if period_s > _MAX_PERIOD_S:
        raise ValueError(f"{part!r}: expected a period of at most 31 days")
    return Limit(part, _number(f"{part!r}: the amount", amount), period_s * _SECOND_NS)


def _burst(limit: Limit, value: str) -> Limit:
    # So long would a caller wait at most that has used up the burst; the times fit 64 bits.
    most = min(_MAX_AMOUNT, limit.amount * _MAX_PERIOD_S * _SECOND_NS // max(1, _only_rate(limit, "burst").period_ns))
    return replace(limit, burst=_number("burst", value, most))


def _unit(limit: Limit, value: str) -> Limit:
    if value not in _UNITS:
        raise ValueError(f"unit: expected one of {', '.join(_UNITS)}, got {value!r}")
    return replace(_only_rate(limit, "unit"), unit=cast(Unit, value))


def _per(limit: Limit, value: str) -> Limit:
    if value != "model":
        raise ValueError(f"per: expected model, got {value!r}")
    return replace(limit, per_model=True)


_OPTIONS: Final[dict[str, Callable[[Limit, str], Limit]]] = {"burst": _burst, "unit": _unit, "per": _per}


def _only_rate(limit: Limit, option: str) -> Limit:
    if limit.is_parallel:
        raise ValueError(f"{option}: expected a limit with a period before it, got {limit.text!r}")
    return limit


def _number(name: str, text: str, most: int = _MAX_AMOUNT) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= most:
        return int(text)
    raise ValueError(f"{name}: expected a whole number from 1 to {most}, got {text!r}")


def _error(text: str, expected: str, got: str) -> ValueError:
    return ValueError(f"{text!r}: expected {expected}, got {got}")
