"""Who sends a request: from its headers to the key that it carries, or the error that refuses it."""

import hmac
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.access import key_text
from gateway.access.key import EVERY_MODEL, SCOPES, Key
from gateway.errors import InvalidArgument, Unauthenticated

_WAYS: Final = "Authorization: Bearer KEY or X-API-Key: KEY"
_MALFORMED: Final = "the key is malformed: a letter is wrong or missing, or it is not one of this gateway"

# What an unknown id is compared with, so that it takes as long as a wrong secret. It is no key's hash.
_NOBODY: Final = Key(
    id="00000000",
    name="nobody",
    sha256=os.urandom(32).hex(),
    scopes=SCOPES[:1],
    models=EVERY_MODEL,
    created=datetime.now(UTC),
    disabled=True,
)


class Authenticator:
    """Finds the key of a request. It does no I/O.

    ``find`` gives the key with an id; ``note_use`` is called with the id of each key that lets a request in. ``clock`` tells
    the time, with its zone; it is asked only for a key that expires.
    """

    def __init__(
        self,
        find: Callable[[str], Key | None],
        note_use: Callable[[str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find = find
        self._note_use = note_use
        self._clock = clock

    def identify(self, headers: Mapping[str, str], query: str) -> Key:
        """The key in ``headers``, whose names are in lower case. Its use is noted. ``query`` is what follows the ``?``.

        An unknown id and a wrong secret get the same answer after the same work, one SHA-256 and one comparison. That a key
        has expired or is disabled is told only to a client that has its secret. The checksum is looked at last, and only to say
        what is wrong: it costs more than the hash.

        Raises:
            Unauthenticated: there is no key, or none that is valid now. Its ``reason`` is ``missing``, ``malformed``,
                ``unknown``, ``disabled`` or ``expired``.
            InvalidArgument: there are two different keys, or one in the query.
        """
        text = _text(headers, query)
        if not key_text.is_like_a_key(text):
            raise Unauthenticated(_why_malformed(text), "malformed")
        key = self._find(text[key_text.ID]) or _NOBODY
        if not hmac.compare_digest(key_text.sha256_of(text), key.sha256):
            if key_text.id_of(text) is None:
                raise Unauthenticated(_MALFORMED, "malformed")
            raise Unauthenticated("the key is unknown", "unknown")
        if key.disabled or (key.expires is not None and key.state(self._clock()) == "expired"):
            state, verb = ("disabled", "is") if key.disabled else ("expired", "has")
            raise Unauthenticated(f"the key {key.name} {verb} {state}", state)
        self._note_use(key.id)
        return key


def _why_malformed(text: str) -> str:
    if "," in text:
        return f"the key is malformed: it has a comma, as a header has that comes twice; send one of {_WAYS}"
    if text[:7].lower() == "bearer ":
        return f"the key is malformed: the word Bearer belongs to Authorization only; send {_WAYS}"
    return _MALFORMED


def _text(headers: Mapping[str, str], query: str) -> str:
    """The text that stands where a key should, as the client sent it."""
    if query and key_text.PREFIX in query:
        raise InvalidArgument(f"a key in the query gets into logs, so count it as lost; send keys as {_WAYS}")
    own, authorization = headers.get("x-api-key"), headers.get("authorization")
    if own and not authorization:
        return own
    scheme, _, bearer = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        # Another scheme may be for a proxy in front, if there is a key besides.
        if scheme and not own:
            raise Unauthenticated(f"Authorization is not of the scheme Bearer; send {_WAYS}", "malformed")
        bearer = ""
    bearer = bearer.strip()
    if own and bearer and own != bearer:
        raise InvalidArgument("Authorization and X-API-Key hold two different keys; send one of them")
    text = own or bearer
    if not text:
        raise Unauthenticated(f"there is no key; send {_WAYS}", "missing")
    return text
