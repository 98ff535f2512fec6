"""One worker's file of numbers (see ``shared_values``), read where it lies: keys once, numbers by their places.

The file only grows. Its head says how much of it is used. An entry is the length of a key, the key, the number, and the time of
the number in Unix seconds. The key is filled up so that the number lies at a multiple of 8 bytes: it is not read half written.
"""

import json
import mmap
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.telemetry.reading.numbers import Key, Names, Values

_HEAD_BYTES: Final = 8
_LENGTH: Final = struct.Struct("i")
_KEYS_AT_A_TIME: Final = 100
# A thread that reads some hundred thousand keys leaves the interpreter to the requests meanwhile.
_REST_S: Final = 0.002

Place = Callable[[Key], int]
"""The column of a key."""


class NumberFileReader:
    """Reads the file at ``path``. Raises OSError when it is gone, or cannot be mapped."""

    def __init__(self, path: Path, names: Names, place: Place) -> None:
        self._path = path
        self._starts = tuple(f'["{name}'.encode() for name in sorted({_family(name) for name in names}))
        self._names = frozenset(names)
        self._place = place
        self._read_to = _HEAD_BYTES
        self._columns: list[int] = []
        self._offsets: list[int] = []
        self.columns: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._at: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._map()

    def read(self) -> Values:
        """The numbers of ``columns`` now."""
        self._look_for_keys()
        return self._doubles[self._at]

    def times(self) -> Values:
        """When each of them was set, in Unix seconds; 0: it does not say."""
        return self._doubles[self._at + 1]

    def _map(self) -> None:
        with self._path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._doubles = np.frombuffer(self._bytes, "<f8", len(self._bytes) // 8)

    def _look_for_keys(self) -> None:
        (used,) = _LENGTH.unpack_from(self._bytes)
        if used > len(self._bytes):
            self._map()
        if used == self._read_to:
            return
        seen = 0
        while self._read_to < used:
            self._read_entry()
            seen += 1
            if seen % _KEYS_AT_A_TIME == 0:
                time.sleep(_REST_S)
        self.columns = np.array(self._columns, np.intp)
        self._at = np.array(self._offsets, np.intp)

    def _read_entry(self) -> None:
        (length,) = _LENGTH.unpack_from(self._bytes, self._read_to)
        start = self._read_to + _LENGTH.size
        number = start + length + 8 - (length + _LENGTH.size) % 8
        self._read_to = number + 16
        text = self._bytes[start : start + length]
        if not text.startswith(self._starts):
            return
        _, name, labels, _ = json.loads(text)
        if name in self._names:
            # Interned, because a thousand models have the same few texts many thousand times.
            values = tuple(sys.intern(labels[label]) for label in sorted(labels))
            self._columns.append(self._place(Key(sys.intern(name), values)))
            self._offsets.append(number // 8)


def _family(name: str) -> str:
    """How the name of the metric of a number begins: a counter's is without ``_total``, a histogram's without ``_bucket``."""
    return name.removesuffix("_total").removesuffix("_bucket")
