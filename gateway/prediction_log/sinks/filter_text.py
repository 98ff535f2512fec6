"""What a person writes of a filter: times and statuses. For the commands and for /admin/log."""

import re
from datetime import UTC, datetime
from typing import Final

_STATUS: Final = re.compile(r"([1-5])(?:([0-9]{2})|[xX]{2})")


def parse_time_us(text: str) -> int:
    """The time in microseconds since 1970; without a zone it is in UTC. Raises ValueError, which says what was expected."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r}: expected a time such as 2026-11-26 or 2026-11-26T23:00:00Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def parse_statuses(text: str) -> range:
    """The statuses of HTTP that are meant. Raises ValueError, which says what was expected."""
    parts = _STATUS.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r}: expected a status such as 500, or all of a kind, such as 5xx")
    first = int(parts[1]) * 100
    return range(first, first + 100) if parts[2] is None else range(int(text), int(text) + 1)
