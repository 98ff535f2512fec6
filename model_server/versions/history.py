"""What became of every version: the state history that GetModelStatus answers from.

Entries are never forgotten; a version that is loaded again overwrites its own.
"""

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass

from model_server.status import ServingError


class State(enum.IntEnum):
    """ModelVersionStatus.State, with its numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionState:
    """One version's state; ``error`` is set on an END that is a failure."""

    version: int
    state: State
    error: ServingError | None = None


class History:
    """The last state of each version of each model. Thread-safe; ``wait_for`` wakes on every change."""

    def __init__(self) -> None:
        self._states: dict[str, dict[int, VersionState]] = {}
        self._changed = threading.Condition()

    def publish(self, model: str, entry: VersionState) -> None:
        """Record a version's new state and wake those who wait for it."""
        with self._changed:
            self._states.setdefault(model, {})[entry.version] = entry
            self._changed.notify_all()

    def versions(self, model: str) -> list[VersionState]:
        """All that is known about a model, newest version first; empty for a model never seen."""
        with self._changed:
            entries = self._states.get(model, {})
            return [entries[version] for version in sorted(entries, reverse=True)]

    def get(self, model: str, version: int) -> VersionState | None:
        """One version's state, or None."""
        with self._changed:
            return self._states.get(model, {}).get(version)

    def wait_for(self, condition: Callable[[], bool], give_up: Callable[[], bool], check_every_s: float = 0.2) -> bool:
        """Wait until ``condition`` holds; False if ``give_up`` said so first. Both may call this object."""
        while not condition():
            if give_up():
                return False
            with self._changed:
                self._changed.wait(check_every_s)
        return True
