"""The keys that one worker lets in: those of the key file, as it is within a second of a change."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.access import key_file
from gateway.access.key import Key
from gateway.access.key_file import CheckLimits, KeyFileError
from gateway.access.last_use import LastUse, path_beside
from gateway.telemetry.logs import logger

log = logger("access")

_LOOK_EVERY_S: Final = 0.25


class KeySet:
    """Holds the keys of the file at ``path``, by their ids. A thread of its own does all I/O, ``find`` and ``note_use`` none.

    A file that is broken, or that others can write, is told once in the log, and the keys from before stay; a worker that
    starts with such a file lets nobody in. A file that the system does not let it read is tried again at every look, and told
    when the reason changes. A file without a valid key lets nobody in either, nor does a missing or deleted one: when that
    happens after the start, the log says it and why.

    A file that was written less than ``settle_s`` seconds ago is left for the next look, because an editor or ``cp`` may have
    written only a part of it. Last uses are written every ``flush_every_s`` seconds.
    """

    def __init__(self, path: Path, check_limits: CheckLimits, settle_s: float = 0.1, flush_every_s: float = 10.0) -> None:
        self._path = path
        self._check_limits = check_limits
        self._settle_ns = int(settle_s * 1e9)
        self._flush_every_s = flush_every_s
        self._last_use = LastUse(path_beside(path))
        self._keys: dict[str, Key] = {}
        self._live: Key | None = None  # one that is valid, so that not all must be looked at
        self._used: set[str] = set()
        self._seen: tuple[int, ...] | None = None
        self._unread = ""  # why the system did not let it read the file
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.note_use: Callable[[str], None] = self._used.add
        """Note that the key with this id is used, which costs a request next to nothing: the thread notes when."""

    def find(self, key_id: str) -> Key | None:
        """The key with this id, whether it is still valid or not."""
        return self._keys.get(key_id)

    def start(self) -> None:
        """Read the keys, and begin to follow their file. Call it in the process that uses them, after the fork."""
        self.look()
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following the file, and write the last uses. Waits for the disk."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()
        self._note_uses()
        self._last_use.flush()

    def look(self) -> None:
        """Read the file if it has changed since the last look, or could not be read then, and is settled."""
        seen = _mark(self._path)
        is_first = self._seen is None
        is_read = seen == self._seen and not self._unread
        if is_read or (not is_first and 0 <= time.time_ns() - seen[0] < self._settle_ns):
            if self._live is not None and self._live.state(datetime.now(UTC)) != "live":
                self._find_live()
            return
        self._seen = seen
        try:
            keys = key_file.read(self._path, self._check_limits)
        except KeyFileError as error:
            told, self._unread = self._unread, str(error) if isinstance(error.__cause__, OSError) else ""
            if not self._unread or self._unread != told:
                log.warning("keys.unreadable", reason=str(error), kept=len(self._keys))
            return
        self._unread = ""
        self._keys = {key.id: key for key in keys}
        now = datetime.now(UTC)
        log.info("keys.read", path=str(self._path), keys=len(keys), live=sum(key.state(now) == "live" for key in keys))
        self._find_live(is_first=is_first)

    def _find_live(self, *, is_first: bool = False) -> None:
        now = datetime.now(UTC)
        self._live = next((key for key in self._keys.values() if key.state(now) == "live"), None)
        if self._live is None and not is_first:  # the start has said it already
            key_file.warn_of_nobody(self._path, self._keys)

    def _note_uses(self) -> None:
        now = datetime.now(UTC)
        # One by one: the event loop's thread may add another one at any time.
        while self._used:
            self._last_use.note(self._used.pop(), now)

    def _follow(self) -> None:
        flushed_s = time.monotonic()
        while not self._is_closed.wait(_LOOK_EVERY_S):
            try:
                self.look()
                self._note_uses()
                if time.monotonic() - flushed_s >= self._flush_every_s:
                    flushed_s = time.monotonic()
                    self._last_use.flush()
            except Exception:
                # The thread must go on: without it no key could be disabled any more.
                log.exception("keys.look_failed")


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when the file does; first, if there is one, the time in nanoseconds at which it was written.

    The time of its status is in it too, because ``chmod`` makes a refused file a good one.
    """
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
