"""Since when each version is in its state, as the recorder has seen it; every worker can ask."""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from gateway.api.console.recent.place import Place
from gateway.inference.status import ModelStatus

_NAME: Final = "console_states.json"
_LOOK_EVERY_S: Final = 1.0

States: TypeAlias = dict[str, dict[int, tuple[str, float]]]
"""By model and version: the state, with the code of its error, and since when, in Unix time."""

_decoder: Final = msgspec.json.Decoder(States)


class StateWriter:
    """Notes when states change. For the recorder, in one thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._states = _read(place)
        self._looked_at: Sequence[ModelStatus] = ()
        self._is_written = True

    def note(self, models: Sequence[ModelStatus], now_s: float) -> None:
        """These are the models now. What is not known, as while the server is away, stays. Raises OSError without room."""
        if models != self._looked_at:
            self._looked_at = models
            states = {model.name: self._of(model, now_s) for model in models}
            self._is_written &= states == self._states
            self._states = states
        if not self._is_written:
            self._place.write(_NAME, msgspec.json.encode(self._states))
            self._is_written = True

    def _of(self, model: ModelStatus, now_s: float) -> dict[int, tuple[str, float]]:
        known = self._states.get(model.name, {})
        if model.problem is not None:
            return known
        states = {}
        for status in model.versions:
            state = f"{status.state} {status.error_code}"
            before = known.get(status.version)
            states[status.version] = before if before is not None and before[0] == state else (state, now_s)
        return states


class StateReader:
    """Tells since when. For one event loop: it looks once a second at most, and reads only what has changed."""

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._looked_s = float("-inf")
        self._stamp: object = None
        self._states: States = {}

    def since(self, model: str, version: int) -> float | None:
        """Since when a version is in its state, in Unix time; None: it is not known."""
        if self._clock() >= self._looked_s + _LOOK_EVERY_S:
            self._looked_s = self._clock()
            self._look()
        found = self._states.get(model, {}).get(version)
        return None if found is None else found[1]

    def _look(self) -> None:
        stamp = self._place.stamp(_NAME)
        if stamp != self._stamp:
            self._stamp = stamp
            self._states = _read(self._place)


def _read(place: Place) -> States:
    document = place.read(_NAME)
    return {} if document is None else _decoder.decode(document)
