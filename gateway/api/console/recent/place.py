"""Where the recorder of one worker writes, and all workers read: lines that are appended, and small documents."""

from typing import Final, Protocol

MOST_LINES: Final = 600
"""What is kept at least, of lines that are not long."""


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
