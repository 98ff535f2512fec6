"""Which version the server last answered with, for each model and label that is asked for without a number.

The catalog may be a poll behind, and one reply may overtake another: so what a call learns counts only if the call began
after the version before it was known. For one event loop.
"""

from dataclasses import dataclass

from gateway.inference.signature import ModelRef


@dataclass(frozen=True, slots=True)
class Answered:
    """A version, and the moment at which it was first heard of."""

    version: int
    since: int


class AnsweredVersions:
    """Moments are the number of changes seen so far."""

    def __init__(self) -> None:
        self.now = 0
        self._answered: dict[tuple[str, str | None], Answered] = {}

    def latest(self, model: ModelRef) -> Answered | None:
        """What the server last answered to ``model``; None when it has not been asked, or names its version."""
        return None if model.version is not None else self._answered.get((model.name, model.label))

    def note(self, model: ModelRef, version: int, began: int) -> None:
        """A call of ``model`` that began at the moment ``began`` was answered by ``version``."""
        if model.version is None:
            self._change(model.name, model.label, version, began)
        if model.version is not None or model.label is not None:
            self._note_newer(model.name, version, began)

    def _note_newer(self, name: str, version: int, began: int) -> None:
        """A call by number or label that is answered by a version above the latest has shown that the latest is another."""
        known = self._answered.get((name, None))
        if known is not None and version > known.version:
            self._change(name, None, version, began)

    def _change(self, name: str, label: str | None, version: int, began: int) -> None:
        known = self._answered.get((name, label))
        if known is None or (version != known.version and began >= known.since):
            self.now += 1
            self._answered[name, label] = Answered(version, self.now)
