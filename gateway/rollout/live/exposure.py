"""One request in the evidence: what came of it is counted in its cell, once."""

from dataclasses import dataclass

from gateway.rollout.evidence.windows import Windows
from gateway.rollout.live.running import Place, Running


@dataclass(frozen=True, slots=True)
class Exposure:
    """A request that belongs to ``place``. ``windows``: None: it does not count.

    ``is_checked``: it is in the sample whose faults are checked. The others of both arms say nothing about errors.
    """

    windows: Windows | None
    place: Place
    is_checked: bool

    @classmethod
    def of(cls, running: Running, place: Place) -> "Exposure":
        """The exposure of a request whose outcome is not known yet; that it goes to its arm is counted at once."""
        if running.is_alone:
            return _Alone(running.windows, place, is_checked=True)
        if not running.is_counted:
            return cls(None, place, is_checked=True)
        running.windows.routed(*place)
        is_checked = not running.asks_other or running.windows.is_checked(running.draw())
        return cls(running.windows, place, is_checked)

    def answered(self, backend_s: float | None = None) -> None:
        """Its version has answered it, in ``backend_s`` seconds of the model server; None: it refused it, which is no fault."""
        windows = self.windows
        if windows is not None:
            (windows.answered if self.is_checked else windows.skipped)(*self.place, backend_s)

    def failed(self) -> None:
        """Its version failed, and the other one did not."""
        if self.windows is not None:
            (self.windows.failed if self.is_checked else self.windows.skipped)(*self.place)

    def both_failed(self) -> None:
        """Both versions failed."""
        if self.windows is not None:
            (self.windows.both_failed if self.is_checked else self.windows.skipped)(*self.place)

    def unchecked(self) -> None:
        """Its version failed, and nobody knows what the other one would have done."""
        if self.windows is not None:
            (self.windows.unchecked if self.is_checked else self.windows.skipped)(*self.place)

    def replaced(self) -> None:
        """Stable has answered, without that its version was asked."""


class _Alone(Exposure):
    """A request after the promotion: there is no other arm to compare with, and stable answers what the canary fails."""

    __slots__ = ()

    def answered(self, backend_s: float | None = None) -> None:
        """As ``Exposure``."""
        self._count(has_failed=False)

    def failed(self) -> None:
        """As ``Exposure``."""
        self._count(has_failed=True)

    def both_failed(self) -> None:
        """As ``Exposure``."""
        self._count(has_failed=False)

    def unchecked(self) -> None:
        """Nobody knows what stable would have done: it is not counted."""

    def replaced(self) -> None:
        """As ``Exposure``: without stable, its caller would have had an error."""
        self._count(has_failed=True)

    def _count(self, *, has_failed: bool) -> None:
        if self.windows is not None:
            self.windows.alone(has_failed=has_failed)
