"""How many traces of one worker went which way."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Requests: kept = exported + dropped + those that wait.

    Dropped are those that found the queue ``full``, those that the sink did not take (``failed``), and those that still waited
    at the end (``stopped``). ``kept`` and ``full`` are counted by the event loop's thread, the others by the exporter's.
    """

    kept: int = 0
    full: int = 0
    exported: int = 0
    failed: int = 0
    stopped: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """The requests that were dropped, by the reason."""
        return {"full": self.full, "failed": self.failed, "stop": self.stopped}

    @property
    def waiting(self) -> int:
        """The requests that wait to be exported, or are being exported."""
        return self.kept - self.full - self.exported - self.failed - self.stopped
