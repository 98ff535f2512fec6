"""The headers of limits: ``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-11) and ``Retry-After``.

The first two are lists of RFC 9651 with one member for each limit, named by the limit's text.
"""

from collections.abc import Iterable
from typing import Final

from gateway.access.limits.limit import Limit

_SECOND_NS: Final = 10**9
_QUOTA_UNITS: Final = {"row": "rows", "byte": "content-bytes", "model_ms": "model-milliseconds"}


def policy(limit: Limit) -> str:
    """The limit as a member of ``RateLimit-Policy``."""
    if limit.is_parallel:
        return f'"{limit.text}";q={limit.amount};qu="concurrent-requests"'
    unit = _QUOTA_UNITS.get(limit.unit)
    quota_unit = f';qu="{unit}"' if unit else ""
    return f'"{limit.text}";q={limit.amount};w={limit.period_ns // _SECOND_NS}{quota_unit}'


def state(limit: Limit, room: int, reset_ns: int) -> str:
    """What is left of the limit, as a member of ``RateLimit``. No ``t`` for requests at a time: nobody knows when one ends."""
    left = f'"{limit.text}";r={room if room > 0 else 0}'
    return left if limit.is_parallel else f"{left};t={seconds(reset_ns)}"


def headers(policies: str, states: Iterable[str]) -> list[tuple[str, str]]:
    """The headers of every answer to which limits apply."""
    return [("RateLimit-Policy", policies), ("RateLimit", ", ".join(states))]


def seconds(wait_ns: int) -> int:
    """Whole seconds, never fewer than it takes."""
    return -(-wait_ns // _SECOND_NS)
