"""Requests that are refused before a handler sees them, such as under overload: counted, and told together once a second."""

import asyncio
import time
from typing import Final

from gateway.errors import Setting
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger
from gateway.telemetry.soon import soon

log = logger("request")

_TELL_S: Final = 1.0


class Refusals:
    """Counts refusals. For one event loop."""

    def __init__(self) -> None:
        self._uncounted = 0
        self._untold: dict[Setting | None, int] = {}
        self._told_s = float("-inf")
        self._is_to_tell = False

    def count(self, setting: Setting | None) -> None:
        """Count a refusal, which ``setting`` decided."""
        self._uncounted += 1
        self._untold[setting] = self._untold.get(setting, 0) + 1
        if self._uncounted == 1:
            soon(self.write)

    def close(self) -> None:
        """Count and tell what is still to be."""
        self.write()
        self._tell()

    def write(self) -> None:
        """Count all that were added."""
        if not self._uncounted:
            return
        metrics.REFUSALS.inc(self._uncounted)
        self._uncounted = 0
        left_s = self._told_s + _TELL_S - time.monotonic()
        if left_s <= 0:
            self._tell()
        elif not self._is_to_tell:
            self._is_to_tell = True
            asyncio.get_running_loop().call_later(left_s, self._tell)

    def _tell(self) -> None:
        self._is_to_tell = False
        self._told_s = time.monotonic()
        for setting, count in self._untold.items():
            log.warning("requests.refused", count=count, **(setting.as_fields() if setting else {}))
        self._untold.clear()
