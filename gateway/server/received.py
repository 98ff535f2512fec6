"""The bodies that one worker holds: a bound on their bytes that never stops the oldest large one."""

from typing import Final, Protocol

from gateway.server.limits import Limits

_LEAST_BOUND_BYTES: Final = 64 << 20


class Upload(Protocol):
    """A connection that receives a large body."""

    def hold_up(self, is_held_up: bool) -> None:
        """Receive nothing more until told otherwise, or go on. A second call with the same value does nothing."""


class ReceivedBodies:
    """Counts the bytes of bodies that were received and not yet answered.

    The bound leaves room for four of the largest bodies, and is at least 64 MiB. While there is more, the uploads are held up,
    all but the one that has been large for the longest time: it ends or times out, and then it is the next one's turn. Small
    bodies are counted and never held up.
    """

    def __init__(self, limits: Limits) -> None:
        self.bytes = 0
        self._bound_bytes = max(4 * limits.max_body_bytes, _LEAST_BOUND_BYTES)
        self._uploads: dict[Upload, None] = {}  # the oldest first
        self._is_over = False

    def count(self, upload: Upload, added_bytes: int, *, is_large: bool) -> None:
        """``upload`` holds so many bytes more (fewer, below zero). ``is_large``: it is receiving a large body."""
        self.bytes += added_bytes
        is_over = self.bytes > self._bound_bytes
        if is_over == self._is_over and is_large == (upload in self._uploads):
            return
        self._is_over = is_over
        if is_large:
            self._uploads[upload] = None
        else:
            self._uploads.pop(upload, None)
        for place, one in enumerate(self._uploads):
            one.hold_up(is_over and place > 0)
