"""Lengths of time as an operator writes them: a whole number and a unit, such as ``45s``, ``90m``, ``12h`` or ``30d``."""

import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,18})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str, most: int = 10**18 - 1) -> int | None:
    """The seconds that ``text`` means; None if it is no such length, or if its number is above ``most``."""
    parts = _DURATION.fullmatch(text)
    if parts is None or int(parts[1]) > most:
        return None
    return int(parts[1]) * _SECONDS[parts[2]]
