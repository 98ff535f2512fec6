"""The bodies that one worker holds: a bound on their bytes that never stops the oldest large one."""

from typing import Final, Protocol

from gateway.server.limits import Limits

_LEAST_BOUND_BYTES: Final = 64 << 20


class Upload(Protocol):
    """A connection that receives a large body."""

    def pause(self) -> None:
        """Read nothing more until ``resume``. A second call does nothing."""

    def resume(self) -> None:
        """Read on."""


class ReceivedBodies:
    """Counts the bytes of bodies that were received and not yet answered.

    While they are more than ``bound_bytes``, the uploads are paused, all but the one that has been large for the longest time:
    it ends or times out, and then it is the next one's turn. Small bodies are counted and never paused.
    """

    def __init__(self, bound_bytes: int) -> None:
        self.bytes = 0
        self._bound_bytes = bound_bytes
        self._uploads: dict[Upload, None] = {}  # the oldest first
        self._paused = False

    @classmethod
    def within(cls, limits: Limits) -> "ReceivedBodies":
        """With room for four of the largest bodies, and at least 64 MiB."""
        return cls(max(4 * limits.max_body_bytes, _LEAST_BOUND_BYTES))

    def add(self, size: int) -> None:
        """So many bytes were received; or, below zero, are held no longer."""
        self.bytes += size
        if (self.bytes > self._bound_bytes) != self._paused:
            self._paused = not self._paused
            self._settle()

    def begin(self, upload: Upload) -> None:
        """The body that ``upload`` receives has become large."""
        self._uploads[upload] = None
        if self._paused and len(self._uploads) > 1:
            upload.pause()

    def end(self, upload: Upload) -> None:
        """``upload`` receives no large body any more."""
        if upload in self._uploads:
            del self._uploads[upload]
            self._settle()

    def _settle(self) -> None:
        for place, upload in enumerate(self._uploads):
            if self._paused and place:
                upload.pause()
            else:
                upload.resume()
