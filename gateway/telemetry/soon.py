"""Work that many requests have in common, such as writing their log lines, done once for all of a moment."""

import asyncio
from collections.abc import Callable
from typing import Final

_LATEST_S: Final = 0.01


def soon(work: Callable[[], None]) -> None:
    """Do ``work`` in 10 ms on the event loop that runs here; at once where none does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        work()
        return
    loop.call_later(_LATEST_S, work)
