"""One API key without its secret: a line of the key file, and what a request is known by once its key has been checked."""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gateway.access.key_text import hide_secrets
from gateway.errors import PermissionDenied, Problem

SCOPES: Final = ("predict", "metadata", "admin", "metrics")
EVERY_MODEL: Final = ("*",)

State: TypeAlias = Literal["live", "expired", "disabled"]

# Names and patterns are shown in logs and lists, and a key that was given for one must not get there: so none has sgk_ in it.
_NAME: Final = re.compile(r"(?!.*sgk_)[0-9A-Za-z][0-9A-Za-z._@-]{0,63}")
# A model's name stands between slash and colon in a path, so it has neither. To ``fnmatch`` a [ that is not closed is a letter.
_MODELS: Final = re.compile(r"(?!.*sgk_)(?=.{1,200}\Z)([^\s:/,[]|\[!?+\]?+[^\s:/,\]]*\])+")

_Time: TypeAlias = Annotated[datetime, Meta(tz=True)]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as the key file holds it. Two keys may have one name: they are one caller, whose secret is being rotated.

    - ``id``: the 8 letters that the key's text holds too. ``sha256``: of the whole text, in hexadecimal.
    - ``scopes``: some of ``SCOPES``. None of them includes another one.
    - ``models``: patterns of models' names with ``* ? []``.
    - ``limits``: as text, such as ``100/day; 30/hour``; empty for none.
    - ``created``, ``expires``: with their time zone; at ``expires`` the key is not valid any more, None for never.

    Raises:
        ValueError: the name, a scope or a model's pattern is not valid. msgspec checks all else when it decodes a line.
    """

    id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{8}\Z")]
    name: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    limits: str = ""
    created: _Time
    expires: _Time | None = None
    disabled: bool = False

    def __post_init__(self) -> None:
        for problem in problems_of(self.name, self.scopes, self.models):
            raise ValueError(f"{problem.pointer.split('/')[1]}: expected {problem.expected}, got {problem.got}")

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.name!r})"

    def state(self, now: datetime) -> State:
        """Whether the key is valid at ``now``, and if not, why."""
        if self.disabled:
            return "disabled"
        return "live" if self.expires is None or now < self.expires else "expired"

    def allows(self, scope: str) -> bool:
        """Whether the key has ``scope``."""
        return scope in self.scopes

    def allows_model(self, name: str) -> bool:
        """Whether the key may use the model ``name``, whether there is such a model or not."""
        return self.models == EVERY_MODEL or _matcher(self.models).match(name) is not None

    def require(self, scope: str, model: str | None = None) -> None:
        """Raise PermissionDenied, which names what the key lacks, unless it has ``scope`` and may use ``model`` (None: any)."""
        if scope not in self.scopes:
            raise PermissionDenied(f"the key {self.name} has no scope {scope}; it has {', '.join(self.scopes)}")
        if model is not None and self.models != EVERY_MODEL and not self.allows_model(model):
            raise PermissionDenied(f"the key {self.name} may not use the model {hide_secrets(model)[:100]}")


def problems_of(name: str, scopes: Sequence[str], models: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with these members of a key. The pointers are such as ``/name``, ``/scopes`` and ``/models/1``."""
    if not _NAME.fullmatch(name):
        yield Problem("/name", "1 to 64 letters, digits or . _ @ -, of which the first is a letter or a digit", _shown(name))
    for member, given in (("scopes", scopes), ("models", models)):
        if not given:
            yield Problem(f"/{member}", "at least one", "none")
    for number, scope in enumerate(scopes):
        if scope not in SCOPES:
            yield Problem(f"/scopes/{number}", f"some of {', '.join(SCOPES)}", _shown(scope))
    for number, pattern in enumerate(models):
        if not (pattern.isprintable() and _MODELS.fullmatch(pattern)):
            expected = "names of models or patterns with * ? [] whose brackets are closed"
            yield Problem(f"/models/{number}", expected, _shown(pattern))


def _shown(text: str) -> str:
    return repr(hide_secrets(text)[:100])


@lru_cache(maxsize=4096)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))
