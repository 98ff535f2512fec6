"""Which model servers may get a call, and which of them does. Pure, but for the turn and the random numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeAlias, TypeVar

from gateway.inference.status import ModelStatus


class Loaded(Protocol):
    """A server, as far as the choice looks at it."""

    @property
    def rows(self) -> int:
        """The rows of the calls that it has in flight."""


S = TypeVar("S", bound=Loaded)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server as it is seen when a model is called. ``status``: the last of the model; None if it is not known."""

    is_connected: bool
    is_ejected: bool = False
    status: ModelStatus | None = None


def has(status: ModelStatus | None, version: int | None) -> bool:
    """Whether a server that said ``status`` of a model has that version of it AVAILABLE; None: any."""
    if status is None:
        return False
    return status.is_ready if version is None else version in status.available


def newest_of_most(statuses: Sequence[ModelStatus]) -> int | None:
    """The newest AVAILABLE version of most of these servers, and of two the newer one; None if none has any.

    Calls that name no version go to those alone that have it as their newest: otherwise callers would get now one version, now
    another, for as long as the servers differ.
    """
    newest = Counter(status.available[0] for status in statuses if status.is_ready)
    return max(newest, key=lambda version: (newest[version], version), default=None)


def rotation(candidates: Sequence[Candidate], version: int | None) -> tuple[int, ...]:
    """The places of those that share the calls of ``version`` of a model (None: of the latest).

    They are connected, are not ejected and have it AVAILABLE; the latest is that of most (``newest_of_most``). If none is known
    to have it, all that are connected do; and if none is connected that is not ejected, the call finds out whether any is.
    """
    connected = [place for place, one in enumerate(candidates) if one.is_connected]
    there = [place for place in connected if not candidates[place].is_ejected]
    having = [place for place in there if has(candidates[place].status, version)]
    if version is None:
        statuses = {place: status for place in having if (status := candidates[place].status) is not None}
        most = newest_of_most(list(statuses.values()))
        having = [place for place in having if statuses[place].available[0] == most]
    return tuple(having or there or connected or range(len(candidates)))


class RoundRobin:
    """One after the other. ``random`` says which is first: workers should not all begin with the same."""

    def __init__(self, random: Random) -> None:
        self._turn = random.randrange(2**16)

    def __call__(self, servers: Sequence[S]) -> S:
        """One of ``servers``, which are not empty."""
        self._turn += 1
        return servers[self._turn % len(servers)]


class LeastLoaded:
    """The one with the fewest rows in flight; of several that have as few, one by ``random``."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def __call__(self, servers: Sequence[S]) -> S:
        """One of ``servers``, which are not empty."""
        fewest = min(server.rows for server in servers)
        return self._random.choice([server for server in servers if server.rows == fewest])


Choice: TypeAlias = RoundRobin | LeastLoaded


def choice_of(balancing: str, random: Random) -> Choice:
    """The choice that ``GATEWAY_BALANCING`` names."""
    return LeastLoaded(random) if balancing == "least_loaded" else RoundRobin(random)
