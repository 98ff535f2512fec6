"""What is done with keys, as functions from the keys of a file to those that take their place."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.access.key import Key
from gateway.access.key_text import NewKey


class KeyChangeError(Exception):
    """Raised when a change does not fit the keys that there are; the message says why, and what to do instead."""


def added(keys: Sequence[Key], key: Key) -> tuple[Key, ...]:
    """``keys`` and ``key``, the first of its name that is valid.

    Raises:
        KeyChangeError: a key of that name is valid when ``key`` is created.
    """
    if _live(keys, key.name, key.created):
        raise KeyChangeError(f"there is a key {key.name} already; `keys rotate {key.name}` gives it a new secret")
    return (*keys, key)


def rotated(keys: Sequence[Key], name: str, new: NewKey, now: datetime, overlap: timedelta) -> tuple[Key, ...]:
    """``keys``, and as the last one ``new``, which may do what the newest valid key ``name`` may, and is valid as long.

    The valid ones of that name expire after ``overlap``, if they do not sooner.

    Raises:
        KeyChangeError: no key of that name is valid ``now``.
    """
    live = _live(keys, name, now)
    if not live:
        raise KeyChangeError(f"{why_none(keys, name)}; `keys new {name}` makes one")
    old, end = live[-1], now + overlap
    lifetime = None if old.expires is None else old.expires - old.created
    following = replace(old, id=new.id, sha256=new.sha256, created=now, expires=None if lifetime is None else now + lifetime)
    return (*(replace(key, expires=min(key.expires or end, end)) if key in live else key for key in keys), following)


def disabled(keys: Sequence[Key], name: str) -> tuple[Key, ...]:
    """``keys``, of which all of ``name`` are disabled.

    Raises:
        KeyChangeError: there is no key of that name.
    """
    if all(key.name != name for key in keys):
        raise KeyChangeError(why_none(keys, name))
    return tuple(replace(key, disabled=True) if key.name == name else key for key in keys)


def why_none(keys: Sequence[Key], name: str) -> str:
    """Why none of ``keys`` is a valid key ``name``, and what there is instead."""
    names = dict.fromkeys(key.name for key in keys)
    if name in names:
        return f"each key {name} has expired or is disabled"
    return f"there is no key {name}; there are: {', '.join(list(names)[:20]) or 'none'}"


def _live(keys: Sequence[Key], name: str, now: datetime) -> list[Key]:
    return [key for key in keys if key.name == name and key.state(now) == "live"]
