"""From which time on the model server's answer is slow: stable's 95th percentile of the window before, then frozen.

Where a window has too few answers, it is that of as many windows as have enough."""

import math
from typing import Final

_LEAST: Final = 20
_MOST: Final = 4096
_PART: Final = 0.95


class Slowness:
    """``limit_s`` is the time over which an answer is slow; None while too few answers are known. For one event loop."""

    def __init__(self, limit_s: float | None = None) -> None:
        self.limit_s = limit_s
        self._clear()

    def _clear(self) -> None:
        self._times_s: list[float] = []
        self._every = 1
        self._seen = 0

    def add(self, backend_s: float) -> None:
        """Note the time of an answer of stable or baseline. Of many only every second, fourth ... is kept."""
        if self._seen % self._every == 0:
            self._times_s.append(backend_s)
            if len(self._times_s) > _MOST:
                del self._times_s[1::2]
                self._every *= 2
        self._seen += 1

    def turn(self) -> None:
        """End the window: its percentile is the next one's limit.

        With too few answers the limit stays as it is, and they are kept: little traffic has enough of them some windows later.
        """
        if len(self._times_s) < _LEAST:
            return
        self.limit_s = sorted(self._times_s)[math.ceil(_PART * len(self._times_s)) - 1]
        self._clear()
