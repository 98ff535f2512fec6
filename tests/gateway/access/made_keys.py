"""Keys and key files for tests."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.access import key_text
from gateway.access.key import Key

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def check_limits(text: str) -> None:
    """As the rule for limits will be, in small."""
    if not re.fullmatch(r"\d+/(s|min|hour|day)", text):
        raise ValueError(f"limits: expected such as 100/day, got {text!r}")


def make_key(name: str = "mobile", **changes: object) -> tuple[str, Key]:
    """The text of a new key, and the key."""
    new = key_text.new()
    fields = {"scopes": ("predict",), "models": ("*",), "created": NOW - timedelta(days=1)} | changes
    return new.text, Key(id=new.id, name=name, sha256=new.sha256, **fields)


def write(path: Path, *keys: Key) -> None:
    """Write the file as an operator's tool may: in place, for the owner only."""
    path.touch(mode=0o600)
    path.write_bytes(b"".join(msgspec.json.encode(key) + b"\n" for key in keys))
