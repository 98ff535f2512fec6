"""Which requests the prediction log keeps, and how much of their tensors, by model.

The text of each setting is a value for all models and ``model:value`` for others, with commas between them, such as
``0.1,digits:1,exp-*:0``. A model may be a pattern with ``* ? []``; the first one that fits decides.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Generic, Literal, TypeAlias, TypeVar, cast

Value = TypeVar("Value")
Values: TypeAlias = Literal["small", "none", "all"]

_VALUES: Final = ("small", "none", "all")
_RATE: Final = re.compile(r"0|1|[01]?\.[0-9]{1,9}")
# A model's name stands between slash and colon in a path, so it has neither.
_MODEL: Final = re.compile(r"[^\s:/,]+")
_MODELS_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class ByModel(Generic[Value]):
    """A value for each model: that of the first pattern of ``others`` that the name fits, otherwise ``default``."""

    default: Value
    others: tuple[tuple[str, Value], ...] = ()

    def of(self, model: str) -> Value:
        """The value for ``model``."""
        return next((value for pattern, value in self.others if fnmatchcase(model, pattern)), self.default)


@dataclass(frozen=True, slots=True)
class Rule:
    """The probability with which a row is kept, of an answer and of an error, and which values it has."""

    rate: float
    error_rate: float
    values: Values


class Rules:
    """The rules of all models."""

    def __init__(
        self,
        rates: ByModel[float] | None = None,
        error_rates: ByModel[float] | None = None,
        values: ByModel[Values] | None = None,
    ) -> None:
        self._rates = rates or ByModel(1.0)
        self._error_rates = error_rates or ByModel(1.0)
        self._values: ByModel[Values] = values or ByModel("small")
        # Each request asks. The names are the clients' words, so that only some are remembered.
        self.of: Callable[[str], Rule] = lru_cache(_MODELS_REMEMBERED)(self._of)

    def _of(self, model: str) -> Rule:
        return Rule(self._rates.of(model), self._error_rates.of(model), self._values.of(model))


def is_kept(request_id: str, rate: float) -> bool:
    """Whether the row of a request is kept with probability ``rate``. Requests with one id are kept or left out together."""
    if rate >= 1.0:
        return True
    return rate > 0.0 and int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest()) < rate * 2.0**64


def parse_rates(text: str) -> ByModel[float]:
    """Probabilities from 0 to 1, such as ``0.1,digits:1``. Raises ValueError, which says what is wrong."""
    return _parsed(text, 1.0, _rate)


def parse_values(text: str) -> ByModel[Values]:
    """``small``, ``none`` or ``all``, such as ``small,digits:all``. Raises ValueError, which says what is wrong."""
    return _parsed(text, "small", _values)


def _parsed(text: str, default: Value, read: Callable[[str], Value]) -> ByModel[Value]:
    others: dict[str, Value] = {}
    defaults: list[Value] = []
    for part in map(str.strip, text.split(",")):
        model, colon, value = part.rpartition(":")
        if not colon:
            defaults.append(read(value))
        elif not _MODEL.fullmatch(model):
            raise ValueError(f"{part!r}: expected the name or pattern of a model before the colon")
        elif model in others:
            raise ValueError(f"{model!r} is named twice")
        else:
            others[model] = read(value)
    if len(defaults) > 1:
        raise ValueError(f"{text!r}: expected one value for all other models, got {len(defaults)}")
    return ByModel(defaults[0] if defaults else default, tuple(others.items()))


def _rate(text: str) -> float:
    if not _RATE.fullmatch(text) or float(text) > 1.0:
        raise ValueError(f"{text!r}: expected a number from 0 to 1")
    return float(text)


def _values(text: str) -> Values:
    if text not in _VALUES:
        raise ValueError(f"{text!r}: expected small, none or all")
    return cast(Values, text)
