"""Over which keys a caller has a say: one that may use only some models must not make itself a key for the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from gateway.access.key import Key
from gateway.errors import PermissionDenied

_EVERY: Final = "*"
_WILD: Final = frozenset("*?[")
_OF_ALL_MODELS: Final = "metrics"  # the scope that no list of models bounds


@dataclass(frozen=True, slots=True)
class Authority:
    """What a caller of the scope ``admin`` may do with keys: ``name``, ``scopes`` and ``models`` are those of its own key.

    A caller for all models may see, make and change every key, with whatever scopes. Any other one may do so with the keys
    whose models are covered by its own patterns: each is one of these, or a plain name that they allow. The scope ``metrics``
    shows every model, so that such a caller gives it only if it has it.
    """

    name: str
    scopes: Sequence[str]
    models: Sequence[str]

    def may_manage(self, key: Key) -> bool:
        """Whether the caller may see and change ``key``."""
        return self._has_all or self._lack(key.scopes, key.models) is None

    def visible(self, keys: Iterable[Key]) -> tuple[Key, ...]:
        """Those of ``keys`` that the caller may see."""
        return tuple(filter(self.may_manage, keys))

    def hides(self, name: str, keys: Iterable[Key]) -> bool:
        """Whether the caller may not see each of ``keys`` that is called ``name``."""
        return any(key.name == name and not self.may_manage(key) for key in keys)

    def require(self, name: str, scopes: Sequence[str], models: Sequence[str]) -> None:
        """Raise PermissionDenied, which says why, unless the caller may manage a key ``name`` that has these."""
        lack = None if self._has_all else self._lack(scopes, models)
        if lack is not None:
            raise PermissionDenied(f"the key {self.name} may not manage the key {name}: {lack}")

    @property
    def _has_all(self) -> bool:
        return _EVERY in self.models

    def _lack(self, scopes: Sequence[str], models: Sequence[str]) -> str | None:
        if _OF_ALL_MODELS in scopes and _OF_ALL_MODELS not in self.scopes:
            return f"the scope {_OF_ALL_MODELS} shows all models, and {self.name} neither has it nor may use all models"
        beyond = [pattern for pattern in models if not self._covers(pattern)]
        if beyond:
            return f"its models {', '.join(beyond)} are not covered by {', '.join(self.models)}, those of {self.name}"
        return None

    def _covers(self, pattern: str) -> bool:
        is_plain = not _WILD & set(pattern)
        return pattern in self.models or (is_plain and any(fnmatchcase(pattern, own) for own in self.models))
