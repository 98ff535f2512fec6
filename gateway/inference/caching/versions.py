"""Which version the server last answered with, for each model and label that is asked for without a number.

The catalog may be a poll behind, and one reply may overtake another: so what a call learns counts only if the call began
after the version before it was known. For one event loop.
"""

from typing import NamedTuple

from gateway.inference.signature import ModelRef


class AnsweredVersion(NamedTuple):
    """A version, and the moment at which it was first heard of."""

    version: int
    since: int


class AnsweredVersions:
    """Moments are the number of changes seen so far."""

    def __init__(self) -> None:
        self.now = 0
        self._answered: dict[tuple[str, str | None], AnsweredVersion] = {}

    def latest(self, model: ModelRef) -> AnsweredVersion | None:
        """What the server last answered to ``model``; None when it has not been asked, or names its version."""
        return None if model.version is not None else self._answered.get((model.name, model.label))

    def note(self, model: ModelRef, version: int, began: int) -> None:
        """A call of ``model`` that began at the moment ``began`` was answered by ``version``."""
        if model.version is None:
            self._change(model.name, model.label, version, began)
        latest = self._answered.get((model.name, None))
        if latest is not None and version > latest.version:
            # A call by number or label has shown that the latest version is another one.
            self._change(model.name, None, version, began)

    def _change(self, name: str, label: str | None, version: int, began: int) -> None:
        known = self._answered.get((name, label))
        if known is None or (version != known.version and began >= known.since):
            self.now += 1
            self._answered[name, label] = AnsweredVersion(version, self.now)
