"""The body of an order: a note for the history and, of the order ``weight``, the part of the requests."""

from typing import Annotated, Final, TypeVar

import msgspec

from gateway.access.key_text import hide_secrets
from gateway.errors import InvalidArgument, Problem
from gateway.rollout.orders import Order
from gateway.rollout.plan import WHOLE

_MOST_NOTE: Final = 1000  # characters
_SMALLEST: Final = WHOLE // 10_000  # 0.01 %
_ROUNDING: Final = 1e-12  # 0.1 + 0.2 is 30 %
_NO_BODY: Final = f'nothing, or {{"note": "..."}} of up to {_MOST_NOTE} characters'
_WEIGHT_BODY: Final = f'{{"weight": 0.125, "note": "..."}}, the note of up to {_MOST_NOTE} characters or left out'
_WEIGHT: Final = "a number over 0 and below 1 with at most four decimals, such as 0.125 for 12.5 %"


Body = TypeVar("Body")


class _Note(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an order, which may be left out."""

    note: Annotated[str, msgspec.Meta(max_length=_MOST_NOTE)] = ""


class _Weight(msgspec.Struct, forbid_unknown_fields=True):
    """The body of the order ``weight``."""

    weight: float
    note: Annotated[str, msgspec.Meta(max_length=_MOST_NOTE)] = ""


def read_order(order: Order, body: bytes) -> tuple[str, int | None]:
    """The note, and the weight in millionths (None with every order but ``weight``). Raises InvalidArgument."""
    if order is not Order.WEIGHT:
        return (hide_secrets(_decoded(body, _Note, _NO_BODY).note) if body else ""), None
    read = _decoded(body, _Weight, _WEIGHT_BODY)
    return hide_secrets(read.note), _millionths(read.weight)


def _decoded(body: bytes, kind: type[Body], expected: str) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError too
        raise _invalid(Problem("/weight" if "$.weight" in str(error) else "", expected, str(error))) from None


def _millionths(weight: float) -> int:
    """A part from 0 to 1 as whole hundredths of a percent, in millionths."""
    share = round(weight * WHOLE / _SMALLEST) * _SMALLEST if 0 < weight < 1 else 0
    if not 0 < share < WHOLE or abs(share / WHOLE - weight) > _ROUNDING:
        raise _invalid(Problem("/weight", _WEIGHT, f"{weight:.10g}"))
    return share


def _invalid(problem: Problem) -> InvalidArgument:
    return InvalidArgument(str(problem), [problem])
