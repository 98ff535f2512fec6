"""What a person asks for when a key is to be made, and the key that becomes of it: for the command and for /admin/keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.access import key_text
from gateway.access.key import EVERY_MODEL, Key, problems_of
from gateway.access.key_file import CheckLimits
from gateway.access.key_text import NewKey
from gateway.durations import parse_duration
from gateway.errors import InvalidArgument, Problem

DEFAULT_SCOPES: Final = ("predict", "metadata")
DEFAULT_OVERLAP: Final = "24h"
LEAST_LIFETIME: Final = timedelta(seconds=1)
_GATEWAY: Final = "gateway"
_LONGEST: Final = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A key that is not made yet. ``lifetime``: None for one that does not expire. See ``Key`` for the others."""

    name: str
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    models: tuple[str, ...] = EVERY_MODEL
    limits: str = ""
    lifetime: timedelta | None = None

    def made(self, new: NewKey, now: datetime, check_limits: CheckLimits) -> Key:
        """The key ``new`` that may do what is wanted, made ``now``.

        Raises:
            InvalidArgument: a member is not valid. Its problems are all that is wrong.
        """
        problems = [*problems_of(self.name, self.scopes, self.models), *self._limits_problems(check_limits)]
        if self.name == _GATEWAY:
            problems.append(
                Problem("/name", "another name: the history of rollouts calls the gateway itself so", repr(self.name))
            )
        if problems:
            raise InvalidArgument("; ".join(map(str, problems)), problems)
        return Key(
            id=new.id,
            name=self.name,
            sha256=new.sha256,
            scopes=self.scopes,
            models=self.models,
            limits=self.limits,
            created=now,
            expires=None if self.lifetime is None else now + self.lifetime,
        )

    def _limits_problems(self, check_limits: CheckLimits) -> Iterator[Problem]:
        try:
            if self.limits:
                check_limits(self.limits)
        except ValueError as error:
            shown, told = (key_text.hide_secrets(text)[:200] for text in (self.limits, str(error)))
            yield Problem("/limits", "limits such as '100/day; 30/hour'", f"{shown!r} ({told})")


def parse_length(text: str, least: timedelta) -> timedelta:
    """The length of time that ``text`` means, such as ``90d``. Raises ValueError, which says what was ``expected_length``."""
    seconds = parse_duration(text)
    if seconds is None or not least.total_seconds() <= seconds <= _LONGEST.total_seconds():
        raise ValueError(f"expected {expected_length(least)}, got {key_text.hide_secrets(text)[:100]!r}")
    return timedelta(seconds=seconds)


def expected_length(least: timedelta) -> str:
    """What a length of time is written like: at least ``least``, and at most 100 years."""
    return f"a number with s, m, h or d behind it, such as 24h, from {least.seconds}s to {_LONGEST.days}d"
