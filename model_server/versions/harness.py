"""One managed version and how it is loaded: what the manager keeps for each version that is wished for or still there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from model_server.versions.history import State
from model_server.versions.policy import VersionView


class Closable(Protocol):
    """What the manager needs to know about a servable."""

    def close(self) -> None:
        """Free it; no request is inside any more."""


S = TypeVar("S", bound=Closable)
Load = Callable[[str, int, str], S]
Fingerprint = Callable[[str], object]


@dataclass(frozen=True)
class LoadSettings:
    """How many loads and unloads run at once, and how a failed load is retried."""

    load_threads: int = 8
    unload_threads: int = 8
    max_retries: int = 2
    retry_interval_s: float = 1.0
    tick_s: float = 0.1
    recheck_s: float = 1.0


@dataclass
class Harness(Generic[S]):
    """One managed version. ``aspired`` changes under the manager's lock; ``state`` in one thread at a time."""

    version: int
    path: str
    state: State = State.START
    aspired: bool = True
    unwished: threading.Event = field(default_factory=threading.Event)
    servable: S | None = None
    tried: object = None  # the files that the last load saw

    def view(self, *, wished: bool) -> VersionView:
        """What the policy sees of it; ``wished`` says whether a version of its number is wanted, from whatever files."""
        return VersionView(
            self.version,
            aspired=self.aspired,
            new=self.state is State.START,
            ready=self.state is State.AVAILABLE,
            failed=self.state is State.END,
            returning=wished and not self.aspired,
        )
