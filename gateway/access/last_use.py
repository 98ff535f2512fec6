"""When each key was last used, to the minute: noted in memory, written to a file beside the key file now and then.

The key file itself may be on a read-only volume, and is read again whenever it changes. All workers write to one file.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from gateway import locked_file
from gateway.telemetry.logs import logger

log = logger("access")

# Short, because the thread that writes also looks at the key file.
_PATIENCE_S: Final = 0.2

_Times = dict[str, datetime]
_DECODER: Final = msgspec.json.Decoder(_Times)


def path_beside(key_file: Path) -> Path:
    """The file of the keys in ``key_file``: ``keys.jsonl`` has ``keys.jsonl.used``."""
    return key_file.with_name(f"{key_file.name}.used")


def read(path: Path) -> dict[str, datetime]:
    """The minute of the last use of each key, by the key's id; a file that is missing or cannot be read tells of none."""
    try:
        return _decoded(path.read_bytes())
    except OSError:
        return {}


class LastUse:
    """Notes the uses of one worker. ``note`` may be called while another thread is in ``flush``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._can_write = True

    def note(self, key_id: str, now: datetime) -> None:
        """The key ``key_id`` is used ``now``. Does no I/O."""
        self._noted[key_id] = now

    def flush(self) -> None:
        """Write the uses in minutes that are not written yet. What cannot be written now is kept for the next time."""
        # The copy is one step for the interpreter: no use can be noted in the middle of it.
        minutes = {key_id: now.replace(second=0, microsecond=0) for key_id, now in self._noted.copy().items()}
        news = {key_id: minute for key_id, minute in minutes.items() if self._written.get(key_id) != minute}
        if not news:
            return

        def merged(old: bytes) -> bytes:
            times = _decoded(old)
            times |= {key_id: max(minute, times.get(key_id, minute)) for key_id, minute in news.items()}
            return msgspec.json.encode(times, order="sorted")

        try:
            locked_file.rewrite(self._path, merged, _PATIENCE_S)
        except TimeoutError:
            return
        except OSError as error:
            if self._can_write:
                log.warning("keys.last_use_not_written", path=str(self._path), reason=error.strerror)
            self._can_write = False
            return
        self._can_write = True
        self._written |= news


def _decoded(content: bytes) -> _Times:
    try:
        return _DECODER.decode(content)
    except ValueError:
        return {}
