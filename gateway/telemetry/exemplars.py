"""Exemplars: for each bucket of the times of requests the newest trace that can be looked at, over all workers.

Each worker writes its own into a file beside the workers' metrics, and every worker reads the files of all. They stay when a
worker dies, as its counters do. A record that was read half-written does not have the checksum that it says, and is left out.
"""

import glob
import os
import struct
import tempfile
import time
import weakref
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from gateway.telemetry.metrics import SECONDS
from gateway.telemetry.request_metrics import Labels

_PREFIX: Final = "exemplars_"
_BUCKETS: Final = (*map(str, SECONDS), "+Inf")  # as the text of the metrics has them
# Whose bucket it is, the trace's id, the seconds, and when it ended (of time.monotonic, and in Unix time); the checksum of it.
_CONTENT: Final = struct.Struct("<16s16sddd")
_CHECKSUM: Final = struct.Struct("<I")
_SIZE: Final = 64  # no record is in two pages of memory


class Exemplar(NamedTuple):
    """A request: the id of its trace, how long it took, and when it ended."""

    trace_id: int
    seconds: float
    ended_s: float
    ended_unix_s: float


class Exemplars:
    """The newest exemplar of each bucket of ``metrics.REQUEST_SECONDS``.

    Without a ``folder`` only this process knows them. ``note`` is for one thread, after the fork; ``newest`` for any.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._ended_s: dict[bytes, float] = {}
        self._places: dict[bytes, int] = {}
        self._memory = bytearray()
        self._file: int | None = None

    def note(self, labels: Labels, trace_id: int, seconds: float, ended_s: float) -> None:
        """A request that took ``seconds`` and ended at ``ended_s`` of ``time.monotonic`` has a trace that can be looked at.

        It is forgotten when there is no room to write it.
        """
        key = key_of(labels, _BUCKETS[bisect_left(SECONDS, seconds)])
        if ended_s < self._ended_s.get(key, 0.0):
            return
        self._ended_s[key] = ended_s
        # Written once, so that it is the same exemplar at every look. Prometheus keeps milliseconds.
        ended_unix_s = round(time.time() - (time.monotonic() - ended_s), 3)
        content = _CONTENT.pack(key, trace_id.to_bytes(16, "big"), seconds, ended_s, ended_unix_s)
        place = self._places.setdefault(key, len(self._places)) * _SIZE
        with suppress(OSError):
            self._write(place, (content + _CHECKSUM.pack(zlib.crc32(content))).ljust(_SIZE, b"\0"))

    def newest(self) -> dict[bytes, Exemplar]:
        """The newest exemplar of each bucket that has one, by ``key_of``."""
        found: dict[bytes, Exemplar] = {}
        for data in self._contents():
            for key, exemplar in _read(data):
                if key not in found or found[key].ended_s < exemplar.ended_s:
                    found[key] = exemplar
        return found

    def _write(self, place: int, record: bytes) -> None:
        if self._folder is None:
            self._memory[place : place + _SIZE] = record
            return
        if self._file is None:
            self._file, _ = tempfile.mkstemp(prefix=_PREFIX, dir=self._folder)
            weakref.finalize(self, os.close, self._file)
        # Not mapped: a disk that is full is an error then, and does not end the process.
        os.pwrite(self._file, record, place)

    def _contents(self) -> Iterator[bytes]:
        if self._folder is None:
            yield bytes(self._memory)
            return
        for path in glob.glob(os.path.join(glob.escape(self._folder), _PREFIX + "*")):
            yield Path(path).read_bytes()


@lru_cache(maxsize=16_384)
def key_of(labels: Labels, bucket: str) -> bytes:
    """What the exemplar of a bucket is found by. ``bucket``: its upper bound, as the text of the metrics has it."""
    return blake2b("\0".join((*labels, bucket)).encode(), digest_size=16).digest()


def _read(data: bytes) -> Iterator[tuple[bytes, Exemplar]]:
    for place in range(0, len(data) - _SIZE + 1, _SIZE):
        content = data[place : place + _CONTENT.size]
        (checksum,) = _CHECKSUM.unpack_from(data, place + _CONTENT.size)
        key, trace_id, seconds, ended_s, ended_unix_s = _CONTENT.unpack(content)
        if checksum == zlib.crc32(content):
            yield key, Exemplar(int.from_bytes(trace_id, "big"), seconds, ended_s, ended_unix_s)
