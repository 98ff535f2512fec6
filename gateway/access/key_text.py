"""The text of an API key: ``sgk_``, an id of 8 letters, ``_``, a secret of 30 letters and a checksum of 6, all in base62.

The id may be shown; whoever has the whole text has the key. The checksum is the CRC-32 of all that stands before it. It finds a
mistyped or truncated key without the key file, and lets a scanner of source code tell a key from other text.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final
from urllib.parse import unquote

import msgspec

PREFIX: Final = "sgk_"

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_FORM: Final = re.compile(r"(sgk_([0-9A-Za-z]{8})_[0-9A-Za-z]{30})([0-9A-Za-z]{6})")
_LENGTH: Final = 49
ID: Final = slice(4, 12)
"""Where the id is in the text."""

# The dots are those of a text that was hidden before.
_SECRET: Final = re.compile(r"(sgk_[0-9A-Za-z]{0,8})\w*(?:\.\.\.)?")


class NewKey(msgspec.Struct, frozen=True):
    """A key whose secret has 178 random bits. ``text`` is the whole of it.

    It is no dataclass, because the log writes a dataclass with all that it holds, and everything else as its ``repr``.
    """

    id: str
    sha256: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.id})"


def new() -> NewKey:
    """A key that nobody has had yet."""
    key_id, secret = (_random(length) for length in (8, 30))
    body = f"{PREFIX}{key_id}_{secret}"
    text = body + checksum(body)
    return NewKey(key_id, sha256_of(text), text)


def is_like_a_key(text: str) -> bool:
    """Whether ``text`` has the length and the prefix of a key. It may still be none, see ``id_of``."""
    return len(text) == _LENGTH and text.startswith(PREFIX)


def id_of(text: str) -> str | None:
    """The id in ``text``; None when ``text`` is no key, because its form or its checksum is wrong."""
    parts = _FORM.fullmatch(text)
    if parts is None:
        return None
    body, key_id, given = parts.groups()
    return key_id if checksum(body) == given else None


def checksum(body: str) -> str:
    """The CRC-32 of ``body``, which is all of a key that stands before its checksum, as 6 letters."""
    high, low = divmod(zlib.crc32(body.encode()), 62 * 62)
    top, middle = divmod(high, 62 * 62)
    return _PAIRS[top] + _PAIRS[middle] + _PAIRS[low]


def sha256_of(text: str) -> str:
    """The SHA-256 of a key's whole text, in hexadecimal, as the key file holds it and ``printf %s KEY | sha256sum`` prints it.

    A slow hash such as bcrypt or argon2 protects passwords, which can be guessed one by one. Nobody guesses 178 random bits,
    however fast the hash is; a slow one would cost each request tens of milliseconds, and let anybody use up the processor.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def hide_secrets(text: str) -> str:
    """``text``, in which of each key, or of what begins as one, only the prefix and the id are left.

    Hiding again changes nothing.
    """
    return _SECRET.sub(r"\1...", text) if PREFIX in text else text


def hide_in_path(path: str) -> str:
    """``path`` as it was sent; or, if there is a key in it and it has percent escapes, without these and with the key hidden.

    Of a key that is written with escapes, ``hide_secrets`` alone would leave all that stands behind the first one.
    """
    if "%" not in path:
        return hide_secrets(path)
    plain = unquote(path)
    return hide_secrets(plain) if PREFIX in plain else path


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
