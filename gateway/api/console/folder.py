"""Where the recorder of one worker writes, and all workers read: lines that are appended, and small documents.

The lines are in two files of bounded length: a full one becomes the older one, and the older one goes. Without a shared folder
everything is in the memory of the process.
"""

import errno
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

_LINES: Final = "console_ticks.jsonl"
_OLDER: Final = "console_ticks.older.jsonl"
MOST_BYTES: Final = 12 << 20
MOST_LINES: Final = 600
_PART_BYTES: Final = 1 << 20


class Reader(Protocol):
    """Reads lines as they come. For one thread."""

    def read(self) -> tuple[bool, list[bytes]]:
        """The lines since the last time, and whether they follow those; otherwise some are lost, and they are all there are."""


class Place(Protocol):
    """Where lines and documents are. Those that write raise OSError when there is no room."""

    def append(self, line: bytes) -> None:
        """Add a line, which ends with a newline."""

    def reader(self) -> Reader:
        """A new reader of the lines, from the oldest one on."""

    def write(self, name: str, document: bytes) -> None:
        """Replace a document."""

    def read(self, name: str) -> bytes | None:
        """A document; None: there is none."""

    def stamp(self, name: str) -> object:
        """What differs when the document does; None: there is none. Takes some microseconds."""

    def remove(self, name: str) -> None:
        """Remove a document, if there is one."""

    def names(self, prefix: str) -> list[str]:
        """The names of the documents that begin with ``prefix``, the newest first."""


class SharedPlace:
    """In ``folder``. One process at a time appends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = 0

    def append(self, line: bytes) -> None:
        """Add a line. One that finds no room leaves nothing behind."""
        path = self._folder / _LINES
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            written = 0
            try:
                written = os.write(file, line)
            finally:
                if written < len(line):
                    os.ftruncate(file, size)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
        self._lines += 1
        if self._lines >= MOST_LINES or size + len(line) > MOST_BYTES:
            path.replace(self._folder / _OLDER)
            self._lines = 0

    def reader(self) -> "SharedReader":
        """A new reader."""
        return SharedReader(self._folder)

    def write(self, name: str, document: bytes) -> None:
        """Replace a document. Its readers see the old one or the new one."""
        new = self._folder / f".{name}.{os.getpid()}"
        try:
            new.write_bytes(document)
            new.replace(self._folder / name)
        finally:
            new.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """A document."""
        with suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    def stamp(self, name: str) -> object:
        """The file that it is in, and when it was written."""
        with suppress(OSError):
            found = os.stat(self._folder / name)
            return found.st_ino, found.st_mtime_ns
        return None

    def remove(self, name: str) -> None:
        """Remove a document."""
        (self._folder / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Of the documents there."""
        found = [entry for entry in os.scandir(self._folder) if entry.name.startswith(prefix)]
        return [entry.name for entry in sorted(found, key=lambda entry: -entry.stat().st_mtime_ns)]


class SharedReader:
    """Reads the lines in ``folder``, also while they are written and the files are changed for others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._at = 0

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def read(self) -> tuple[bool, list[bytes]]:
        """The new lines."""
        if self._file is None:
            return False, self._from_the_oldest()
        lines = self._new_lines()
        if self._is_newest():
            return True, lines
        if not self._is_in_place(_OLDER):
            return False, self._from_the_oldest()
        lines += self._new_lines()  # those that came before it was renamed
        self._open(_LINES)
        return True, lines + self._new_lines()

    def _from_the_oldest(self) -> list[bytes]:
        lines = []
        for name in (_OLDER, _LINES):
            self._open(name)
            lines += self._new_lines()
        return lines

    def _open(self, name: str) -> None:
        """Go on with another file. While there is none, the next reading begins anew."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._at = None, 0
        with suppress(FileNotFoundError):
            self._file = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)

    def _is_newest(self) -> bool:
        """Whether the file is the one that lines are appended to. One that was renamed is that too until there is another."""
        return self._is_in_place(_LINES) or (self._is_in_place(_OLDER) and not (self._folder / _LINES).exists())

    def _is_in_place(self, name: str) -> bool:
        with suppress(FileNotFoundError):
            return self._file is not None and os.path.samestat(os.fstat(self._file), os.stat(self._folder / name))
        return False

    def _new_lines(self) -> list[bytes]:
        if self._file is None:
            return []
        new = b""
        while part := os.pread(self._file, _PART_BYTES, self._at + len(new)):
            new += part
        # What is behind the last newline is read again: it may be taken back where there is no room for the rest of it.
        whole, newline, _ = new.rpartition(b"\n")
        self._at += len(whole) + len(newline)
        return whole.split(b"\n") if newline else []


class OwnPlace:
    """In the memory of this process. For any thread."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=MOST_LINES)
        self._documents: dict[str, bytes] = {}

    def append(self, line: bytes) -> None:
        """Add a line."""
        number = self._lines[-1][0] + 1 if self._lines else 0
        self._lines.append((number, line))

    def reader(self) -> "OwnReader":
        """A new reader."""
        return OwnReader(self._lines)

    def write(self, name: str, document: bytes) -> None:
        """Replace a document, and be the newest."""
        self._documents.pop(name, None)
        self._documents[name] = document

    def read(self, name: str) -> bytes | None:
        """A document."""
        return self._documents.get(name)

    def stamp(self, name: str) -> object:
        """The very bytes."""
        found = self._documents.get(name)
        return None if found is None else id(found)

    def remove(self, name: str) -> None:
        """Remove a document."""
        self._documents.pop(name, None)

    def names(self, prefix: str) -> list[str]:
        """Of the documents, the newest first."""
        return [name for name in reversed(list(self._documents)) if name.startswith(prefix)]


class OwnReader:
    """Reads the lines of one process."""

    def __init__(self, lines: "deque[tuple[int, bytes]]") -> None:
        self._lines = lines
        self._read_to = -1

    def read(self) -> tuple[bool, list[bytes]]:
        """The new lines."""
        there = list(self._lines)
        first = self._read_to + 1
        new = [line for number, line in there if number >= first]
        follows = not there or there[0][0] <= first
        self._read_to = there[-1][0] if there else self._read_to
        return follows, new
