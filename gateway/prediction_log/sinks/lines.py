"""Reads the rows of one file of JSON lines from its beginning or from its end. A part of a line at the end is left out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from gateway.prediction_log.sinks.sink import SinkAway, SomeRow

_BLOCK_BYTES: Final = 65_536


def forwards(kind: type[SomeRow], path: Path) -> Iterator[SomeRow]:
    """The rows, the first one first. Raises SinkAway for a line that is none, and OSError."""
    decoder = msgspec.json.Decoder(kind)
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise SinkAway(f"{path}: line {number} is no row of {kind.TABLE}: {error}") from error


def backwards(kind: type[SomeRow], path: Path) -> Iterator[SomeRow]:
    """The rows, the last one first; it reads no more of the file than it gives. Raises as ``forwards``."""
    decoder = msgspec.json.Decoder(kind)
    with open(path, "rb") as file:
        for start, line in _lines_from_the_end(file):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise SinkAway(f"{path}: the line at byte {start} is no row of {kind.TABLE}: {error}") from error


def _lines_from_the_end(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each whole line without its end, and at which byte it begins, the last one first."""
    block_at = file.seek(0, os.SEEK_END)
    parts: list[bytes] = []  # what was read of a line whose beginning was not, the last one first
    is_whole = False  # the end of that line was read too
    while block_at:
        size = min(_BLOCK_BYTES, block_at)
        block_at -= size
        file.seek(block_at)
        first, *others = file.read(size).split(b"\n")
        start = block_at + size
        for part in reversed(others):
            start -= len(part)
            parts.append(part)
            if is_whole:
                yield start, b"".join(reversed(parts))
            parts, is_whole = [], True
            start -= 1
        parts.append(first)
    if is_whole:
        yield 0, b"".join(reversed(parts))
