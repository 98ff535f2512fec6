"""What this worker has used of the machine, for the metrics."""

import os
import time
from typing import Final

from gateway.telemetry import metrics

_STATM: Final = "/proc/self/statm"
_RESIDENT: Final = 1  # its second number, in pages


class ProcessMetrics:
    """Adds the processor time since the last ``note``, and shows the memory where /proc tells it."""

    def __init__(self) -> None:
        self._noted_s = 0.0

    def note(self) -> None:
        """Bring the metrics up to date. Takes some microseconds."""
        used_s = time.process_time()
        metrics.CPU_SECONDS.inc(used_s - self._noted_s)
        self._noted_s = used_s
        try:
            with open(_STATM, "rb") as statm:
                pages = int(statm.read().split()[_RESIDENT])
        except OSError:  # no Linux
            return
        metrics.RESIDENT_BYTES.set(pages * os.sysconf("SC_PAGE_SIZE"))
