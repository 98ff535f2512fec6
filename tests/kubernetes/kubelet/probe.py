"""A container's startup, readiness and liveness probes, as the kubelet counts them. Nothing here waits or asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

# How to ask -> what to ask, as in the manifest.
Handler: TypeAlias = dict[str, Any]
Ask: TypeAlias = Callable[[Handler, float], bool]
"""Whether the container passes, asked in this way within so many seconds."""

_COUNTED = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}


@dataclass(frozen=True)
class Probe:
    """A probe of a manifest, with Kubernetes' defaults."""

    handler: Handler
    initial_delay_s: float
    period_s: float
    timeout_s: float
    successes: int
    failures: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Probe":
        """The probe that ``document`` describes."""
        handler = {name: value for name, value in document.items() if name not in _COUNTED}
        return cls(handler, *(document.get(name, default) for name, default in _COUNTED.items()))


class _Series:
    """One probe's answers: ``outcome`` changes when enough in a row agree."""

    def __init__(self, probe: Probe, started_s: float, outcome: bool | None) -> None:
        self.outcome = outcome
        self.asked = 0
        self._probe = probe
        self._due_s = started_s + probe.initial_delay_s
        self._last: bool | None = None
        self._in_a_row = 0

    def step(self, now_s: float, ask: Ask) -> None:
        if now_s < self._due_s:
            return
        self._due_s = max(self._due_s + self._probe.period_s, now_s)
        passes = ask(self._probe.handler, self._probe.timeout_s)
        self.asked += 1
        self._in_a_row = self._in_a_row + 1 if passes == self._last else 1
        self._last = passes
        if self._in_a_row >= (self._probe.successes if passes else self._probe.failures):
            self.outcome = passes


class Health:
    """What the probes of one container say since it was started.

    Before the startup probe has passed no other one is asked; then both are asked at once. ``has_failed`` names the probe for
    which the container must be restarted.
    """

    def __init__(self, container: dict[str, Any], started_s: float) -> None:
        self._container = container
        self._startup = self._series("startupProbe", started_s, None)
        self._readiness: _Series | None = None
        self._liveness: _Series | None = None
        self.is_started = False
        self._started_s = started_s

    def _series(self, name: str, started_s: float, outcome: bool | None) -> _Series | None:
        return _Series(Probe.of(self._container[name]), started_s, outcome) if name in self._container else None

    @property
    def startups_asked(self) -> int:
        """How often the startup probe was asked."""
        return self._startup.asked if self._startup else 0

    @property
    def is_ready(self) -> bool:
        """Whether the container may get requests."""
        return self.is_started and (self._readiness is None or self._readiness.outcome is True)

    @property
    def has_failed(self) -> str | None:
        """The probe for which the container must be restarted."""
        if self._startup and self._startup.outcome is False:
            return "startup"
        return "liveness" if self._liveness and self._liveness.outcome is False else None

    def step(self, now_s: float, ask: Ask) -> None:
        """Ask what is due."""
        if not self.is_started:
            if self._startup:
                self._startup.step(now_s, ask)
            if self._startup is None or self._startup.outcome:
                self._start(now_s)
        for series in (self._readiness, self._liveness):
            if series:
                series.step(now_s, ask)

    def _start(self, now_s: float) -> None:
        self.is_started = True
        self._readiness = self._series("readinessProbe", now_s, False)
        self._liveness = self._series("livenessProbe", now_s, True)
