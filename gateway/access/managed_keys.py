"""The keys of a key file as an operator looks after them: the command ``keys`` and /admin/keys do the same by these."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec

from gateway.access import key_changes, key_file, key_text, last_use
from gateway.access.key import Key
from gateway.access.key_file import CheckLimits
from gateway.access.key_text import NewKey
from gateway.access.wanted_key import WantedKey

Keys: TypeAlias = tuple[Key, ...]

Check: TypeAlias = Callable[[Sequence[Key]], object]
"""Raises an error against a change of the keys that are in the file now. No other process changes them meanwhile."""


class Made(msgspec.Struct, frozen=True):
    """A key that was made, ``new`` with the whole of its text, and the keys that are in the file after it."""

    key: Key
    new: NewKey
    keys: Keys


def _unchecked(keys: Sequence[Key]) -> None:
    """Let every change be made."""


class ManagedKeys:
    """The keys in the file at ``path``. All methods block their thread; any thread may call them.

    ``check_limits`` raises ValueError for a text that is none of limits. ``patience_s``: how long a change waits for another
    process that changes the file. All methods raise KeyFileError, and the changes what ``check`` raises; then nothing is
    changed.
    """

    def __init__(self, path: Path, check_limits: CheckLimits, patience_s: float = 10.0) -> None:
        self.path = path
        self._check_limits = check_limits
        self._patience_s = patience_s

    def all(self) -> Keys:
        """The keys; none when there is no such file."""
        return key_file.read(self.path, self._check_limits)

    def rows(self, keys: Sequence[Key]) -> list[dict[str, object]]:
        """``keys`` as a list shows them: without their hashes, with their state, and with the minute of their last use."""
        uses = last_use.read(last_use.path_beside(self.path))
        now = _now()
        return [_row(key, now, uses.get(key.id)) for key in keys]

    def add(self, wanted: WantedKey, check: Check = _unchecked) -> Made:
        """Make a key. Raises KeyChangeError if there is one of its name, and InvalidArgument as ``WantedKey.made``."""
        new = key_text.new()
        key = wanted.made(new, _now(), self._check_limits)
        return Made(key, new, self._changed(check, lambda keys: key_changes.added(keys, key)))

    def rotate(self, name: str, overlap: timedelta, check: Check = _unchecked) -> Made:
        """Make a second key ``name``. The others expire after ``overlap``. Raises KeyChangeError if none of them is valid."""
        new, now = key_text.new(), _now()
        keys = self._changed(check, lambda keys: key_changes.rotated(keys, name, new, now, overlap))
        return Made(keys[-1], new, keys)

    def disable(self, name: str, check: Check = _unchecked) -> Keys:
        """Let nobody in with any key ``name`` any more, and return all keys. Raises KeyChangeError if there is none."""
        return self._changed(check, lambda keys: key_changes.disabled(keys, name))

    def _changed(self, check: Check, edit: Callable[[Keys], Keys]) -> Keys:
        def checked(keys: Keys) -> Keys:
            check(keys)
            return edit(keys)

        return key_file.change(self.path, self._check_limits, checked, self._patience_s)


def _row(key: Key, now: datetime, used: datetime | None) -> dict[str, object]:
    return {
        "name": key.name,
        "id": key.id,
        "state": key.state(now),
        "scopes": key.scopes,
        "models": key.models,
        "limits": key.limits,
        "created": key.created,
        "expires": key.expires,
        "last_used": used,
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
