"""The versions that requests can reach, and the requests that are in each of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from model_server.status import not_found

S = TypeVar("S")


class InUse(Generic[S]):
    """A servable with the number of requests inside it. Thread-safe."""

    def __init__(self, servable: S) -> None:
        self.servable = servable
        self._users = 0
        self._closing = False
        self._idle = threading.Condition()

    def enter(self) -> bool:
        """Count a request in, or answer False if the servable is on its way out."""
        with self._idle:
            self._users += not self._closing
            return not self._closing

    def leave(self) -> None:
        """Count a request out."""
        with self._idle:
            self._users -= 1
            self._idle.notify_all()

    def drain(self) -> None:
        """Let nobody in any more and wait until everybody has left."""
        with self._idle:
            self._closing = True
            self._idle.wait_for(lambda: self._users == 0)


class ServingMap(Generic[S]):
    """Model -> version -> servable. Lookups take no lock: every change installs new dictionaries."""

    def __init__(self) -> None:
        self._models: dict[str, dict[int, InUse[S]]] = {}
        self._lock = threading.Lock()

    def publish(self, model: str, version: int, servable: S) -> None:
        """Let requests reach a version."""
        with self._lock:
            versions = {**self._models.get(model, {}), version: InUse(servable)}
            self._models = {**self._models, model: dict(sorted(versions.items()))}

    def withdraw(self, model: str, version: int) -> None:
        """Take a version out of reach, then wait for the requests that are still in it."""
        with self._lock:
            versions = dict(self._models.get(model, {}))
            entry = versions.pop(version, None)
            self._models = {**self._models, model: versions}
        if entry:
            entry.drain()

    def has(self, model: str, version: int) -> bool:
        """Whether requests reach this version."""
        return version in self._models.get(model, {})

    @contextmanager
    def use(self, model: str, version: int | None) -> Iterator[S]:
        """Hold a version for one request; None takes the highest. NOT_FOUND if it is not being served."""
        entry = self._enter(model, version)
        try:
            yield entry.servable
        finally:
            entry.leave()

    def _enter(self, model: str, version: int | None) -> InUse[S]:
        while True:
            versions = self._models.get(model)
            if not versions or (version is not None and version not in versions):
                wanted = f"Latest({model})" if version is None else f"Specific({model}, {version})"
                raise not_found(f"Servable not found for request: {wanted}")
            entry = versions[next(reversed(versions)) if version is None else version]
            if entry.enter():
                return entry
