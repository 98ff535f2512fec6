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
