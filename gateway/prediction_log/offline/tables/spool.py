"""Rows set aside in a temporary file, so that a table's columns can be found before it is written.

A database would not give the same rows a second time: others are written meanwhile.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from gateway.prediction_log.offline.tables.labels import Labelled

_LENGTH: Final = 4  # bytes, little-endian
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Labelled).decode


class Spool:
    """A file without a name in ``folder``; it is gone when it is closed or the process ends. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115 - closed by __exit__
        self.rows = 0

    def add(self, labelled: Labelled) -> None:
        """Set aside one more row."""
        data = _encode(labelled)
        self._file.write(len(data).to_bytes(_LENGTH, "little") + data)
        self.rows += 1

    def read(self) -> Iterator[Labelled]:
        """All rows, in their order."""
        self._file.seek(0)
        for _ in range(self.rows):
            yield _decode(self._file.read(int.from_bytes(self._file.read(_LENGTH), "little")))

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
