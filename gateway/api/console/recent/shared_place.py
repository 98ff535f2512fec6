"""Lines and documents in the folder that the workers share.

The lines are in two files of bounded length: a full one becomes the older one, and the older one goes.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.api.console.recent.place import MOST_LINES

_LINES: Final = "console_ticks.jsonl"
_OLDER: Final = "console_ticks.older.jsonl"
MOST_BYTES: Final = 12 << 20
_PART_BYTES: Final = 1 << 20


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
