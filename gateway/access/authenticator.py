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

    ``find`` gives the key with an id; ``note_use`` is called with the id of each key that lets a request in, and the time.
    ``clock`` tells the time, with its zone.
    """

    def __init__(
        self,
        find: Callable[[str], Key | None],
        note_use: Callable[[str, datetime], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find = find
        self._note_use = note_use
        self._clock = clock

    def identify(self, headers: Mapping[str, str], query: str) -> Key:
        """The key in ``headers``, whose names are in lower case. Its use is noted. ``query`` is what follows the ``?``.

        An unknown id and a wrong secret get the same answer after the same work, one SHA-256 and one comparison. That a key
        has expired or is disabled is told only to a client that has its secret.

        Raises:
            Unauthenticated: there is no key, or none that is valid now. Its ``reason`` is ``missing``, ``malformed``,
                ``unknown``, ``disabled`` or ``expired``.
            InvalidArgument: there are two different keys, or one in the query.
        """
        text = _text(headers, query)
        key_id = key_text.id_of(text)
        if key_id is None:
            message = "the key is malformed: a letter is wrong or missing, or it is not one of this gateway"
            raise Unauthenticated(message, "malformed")
        key = self._find(key_id) or _NOBODY
        if not hmac.compare_digest(key_text.sha256_of(text), key.sha256):
            raise Unauthenticated("the key is unknown", "unknown")
        now = self._clock()
        state = key.state(now)
        if state != "live":
            raise Unauthenticated(f"the key {key.name} {'is' if state == 'disabled' else 'has'} {state}", state)
        self._note_use(key_id, now)
        return key


def _text(headers: Mapping[str, str], query: str) -> str:
    """The text that stands where a key should, as the client sent it."""
    if key_text.PREFIX in query:
        raise InvalidArgument(f"a key in the query gets into logs, so count it as lost; send keys as {_WAYS}")
    own = headers.get("x-api-key", "")
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        # Another scheme may be for a proxy in front, if there is a key besides.
        if scheme and not own:
            raise Unauthenticated(f"Authorization is not of the scheme Bearer; send {_WAYS}", "malformed")
        bearer = ""
    bearer = bearer.strip()
    if own and bearer and own != bearer:
        raise InvalidArgument("Authorization and X-API-Key hold two different keys; send one of them")
    if not own and not bearer:
        raise Unauthenticated(f"there is no key; send {_WAYS}", "missing")
    return own or bearer
