"""/admin/keys: the keys, and what ``python -m gateway keys`` does with them too. Scope ``admin``.

A key that is made is in one answer only, which nobody may keep. A caller that may use only some models sees and changes only
the keys that are for these, see ``Authority``. Every change counts within a second in every worker.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from gateway.access.authority import Authority
from gateway.access.key import Key
from gateway.access.key_changes import KeyChangeError, why_none
from gateway.access.key_file import KeyFileError, KeyFileFixed
from gateway.access.key_text import hide_secrets
from gateway.access.managed_keys import Made, ManagedKeys
from gateway.access.wanted_key import WantedKey
from gateway.api.admin.key_bodies import read_nothing, read_overlap, read_wanted
from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.preconditions import strong_tag, strong_tags
from gateway.api.routes import Route
from gateway.call import Answer, Call
from gateway.errors import FailedPrecondition, NotFound, PermissionDenied, PreconditionFailed, Unavailable
from gateway.telemetry.logs import logger

log = logger("access")

_RULE: Final = "/admin/keys"
_OF_NAME: Final = f"{_RULE}/<name>"
_SETTING: Final = "GATEWAY_KEYS_FILE"
_OFF: Final = (
    f"no keys are asked for: {_SETTING} is not set. Set it to a file, and make the first key by "
    "`python -m gateway keys new NAME --scope admin`"
)
_NO_STORE: Final = ("Cache-Control", "no-store")
_MOST_NAME: Final = 100

Result = TypeVar("Result")


class KeyChangeRefused(FailedPrecondition, http_status=409):
    """Raised when a change does not fit the keys that there are, or the file that they are in."""


class Keys:
    """The handlers. ``keys``: None where no keys are asked for."""

    def __init__(self, keys: ManagedKeys | None, bodies: Bodies) -> None:
        self._managed = keys
        self._bodies = bodies
        # A change may wait for another process. It does not take one thread after the other of those that all share.
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[Route]:
        """The routes. None is answered on the event loop: they read and write a file, and there may be thousands of keys."""
        return [
            Route(_RULE, ("GET",), self.all, scope="admin"),
            Route(_RULE, ("POST",), self.new, scope="admin"),
            Route(f"{_OF_NAME}/rotate", ("POST",), self.rotate, scope="admin"),
            Route(f"{_OF_NAME}/disable", ("POST",), self.disable, scope="admin"),
        ]

    async def all(self, call: Call) -> Answer:
        """The keys that the caller may manage, without their secrets."""
        return await self._asked(_listed, self._keys(), _authority(call))

    async def new(self, call: Call) -> Answer:
        """Make a key."""
        keys, authority = self._keys(), _authority(call)
        wanted = read_wanted(await self._bodies.read(call, is_strict=True))
        made = await self._asked(keys.add, wanted, partial(_check_new, authority, strong_tags(call), wanted))
        _note(call, "new", wanted.name)
        return await self._asked(_made, keys, authority, made)

    async def rotate(self, call: Call, name: str) -> Answer:
        """Make a second key of a name. It may do what the first one may, which expires after the overlap."""
        keys, authority = self._keys(), _authority(call)
        overlap = read_overlap(await self._bodies.read(call, is_strict=True))
        made = await self._asked(keys.rotate, name, overlap, partial(_check_known, authority, strong_tags(call), name))
        _note(call, "rotate", name)
        return await self._asked(_made, keys, authority, made)

    async def disable(self, call: Call, name: str) -> Answer:
        """Let nobody in with any key of a name any more."""
        keys, authority = self._keys(), _authority(call)
        read_nothing(await self._bodies.read(call, is_strict=True))
        after = await self._asked(keys.disable, name, partial(_check_known, authority, strong_tags(call), name))
        _note(call, "disable", name)
        return await self._asked(_disabled, keys, authority, after, name)

    async def _asked(self, ask: Callable[..., Result], *arguments: Any) -> Result:
        """What ``ask`` answers in a thread. What the file and the rules say against it becomes an error of the tree."""
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(ask, *arguments)
        except KeyChangeError as error:
            raise KeyChangeRefused(hide_secrets(str(error))) from None
        except KeyFileFixed as error:
            hint = "`python -m gateway keys` changes it from where it can be written"
            raise KeyChangeRefused(f"the keys cannot be changed here: {_SETTING} is {error}. {hint}") from None
        except KeyFileError as error:
            raise Unavailable(f"the keys cannot be used: {_SETTING} is {error}") from None

    def _keys(self) -> ManagedKeys:
        if self._managed is None:
            raise NotFound(_OFF)
        return self._managed


def _listed(keys: ManagedKeys, authority: Authority) -> Answer:
    seen = authority.visible(keys.all())
    return _answer({"keys": keys.rows(seen)}, seen)


def _made(keys: ManagedKeys, authority: Authority, made: Made) -> Answer:
    (row,) = keys.rows([made.key])
    return _answer({"key": made.new.text, **row}, authority.visible(made.keys), 201)


def _disabled(keys: ManagedKeys, authority: Authority, after: Sequence[Key], name: str) -> Answer:
    rows = keys.rows([key for key in after if key.name == name])
    return _answer({"keys": rows}, authority.visible(after))


def _check_seen(authority: Authority, tags: frozenset[str] | None, keys: Sequence[Key]) -> None:
    """Refuse a change by a caller that has seen other keys than those there are."""
    if tags is not None and _tag(authority.visible(keys)) not in tags:
        raise PreconditionFailed(
            "the list of keys has changed since it was read, and nothing was done: read it again, then decide"
        )


def _check_new(authority: Authority, tags: frozenset[str] | None, wanted: WantedKey, keys: Sequence[Key]) -> None:
    """Refuse a key that the caller may not give. A name that is taken by a key that it may not see is told without that key.

    The members of ``wanted`` are valid by now, so that the refusal repeats no odd text.
    """
    _check_seen(authority, tags, keys)
    authority.require(wanted.name, wanted.scopes, wanted.models)
    if authority.hides(wanted.name, keys):
        raise KeyChangeError(f"the name {wanted.name} is taken: give the key another one")


def _check_known(authority: Authority, tags: frozenset[str] | None, name: str, keys: Sequence[Key]) -> None:
    """Refuse a change of keys ``name`` that the caller may not see, in the words for a name that no key has.

    The names that it may see are told with it.
    """
    _check_seen(authority, tags, keys)
    seen = authority.visible(keys)
    if all(key.name != name for key in seen):
        raise NotFound(why_none(seen, hide_secrets(name)[:_MOST_NAME]))
    if authority.hides(name, keys):
        raise PermissionDenied(f"the key {authority.name} may not manage each key {name}")


def _authority(call: Call) -> Authority:
    return Authority(call.caller.name or "", call.caller.scopes, call.caller.models)


def _answer(document: dict[str, object], seen: Iterable[Key], status: int = 200) -> Answer:
    """``document`` with the entity tag of the keys that the caller sees. When they were last used is no part of that."""
    answer = json_answer(msgspec.to_builtins(document), status)
    answer.headers += [("ETag", strong_tag(_tag(seen))), _NO_STORE]
    return answer


def _tag(seen: Iterable[Key]) -> str:
    return hashlib.sha256(msgspec.json.encode(tuple(seen))).hexdigest()[:32]


def _note(call: Call, what: str, name: str) -> None:
    log.info("keys.changed", by=call.caller.name, what=what, name=name)
