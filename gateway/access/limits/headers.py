"""The headers of limits: ``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-11) and ``Retry-After``.

The first two are lists of RFC 9651 with one member for each limit, named by the limit's text.
"""

from collections.abc import Iterable
from typing import Final

from gateway.access.limits.limit import Limit

_SECOND_NS: Final = 10**9
_QUOTA_UNITS: Final = {"row": "rows", "byte": "content-bytes", "model_ms": "model-milliseconds"}


def policy(limits: Iterable[Limit]) -> tuple[str, str]:
    """``RateLimit-Policy``, which is the same in all answers to a caller."""
    return "RateLimit-Policy", ", ".join(map(_policy, limits))


def states(members: Iterable[str]) -> tuple[str, str]:
    """``RateLimit``, from what is left of each limit."""
    return "RateLimit", joined(members)


def member(limit: Limit) -> str:
    """The limit as a member of ``RateLimit``: a format of what is left and, if it is known, the seconds until there is more."""
    return f'"{limit.text}";r=%d' if limit.is_parallel else f'"{limit.text}";r=%d;t=%d'


def states_format(limits: Iterable[Limit]) -> str:
    """The formats of all ``limits``, as one: of each in its turn what is left, and the seconds."""
    return joined(map(member, limits))


def joined(members: Iterable[str]) -> str:
    """The members as a list, without those that are empty."""
    return ", ".join(filter(None, members))


def seconds(wait_ns: int) -> int:
    """Whole seconds, never fewer than it takes."""
    return -(-wait_ns // _SECOND_NS)


def _policy(limit: Limit) -> str:
    if limit.is_parallel:
        return f'"{limit.text}";q={limit.amount};qu="concurrent-requests"'
    unit = _QUOTA_UNITS.get(limit.unit)
    quota_unit = f';qu="{unit}"' if unit else ""
    return f'"{limit.text}";q={limit.amount};w={limit.period_ns // _SECOND_NS}{quota_unit}'
