"""How many rows of one table went which way."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """The counts of one worker since its start: offered = kept + unsampled, and kept = written + dropped + queued, exactly.

    Dropped are the rows for which the queue was ``full``, those that could not be made (``failed``), those that the sink does
    not take (``refused``), and those that were still queued at the end (``stopped``). ``written`` and ``refused`` are counted
    by the writer's thread, all others by that of the event loop: a number has one writer, and needs no lock.
    """

    offered: int = 0
    unsampled: int = 0
    kept: int = 0
    full: int = 0
    failed: int = 0
    stopped: int = 0
    written: int = 0
    refused: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """The rows that were dropped, by the reason."""
        return {"full": self.full, "failed": self.failed, "refused": self.refused, "stop": self.stopped}

    @property
    def queued(self) -> int:
        """The rows that wait to be written, or are being written."""
        return self.kept - self.full - self.failed - self.stopped - self.written - self.refused
