"""Lines and documents in the memory of one process, where workers share no folder."""

from collections import deque

from gateway.api.console.recent.place import MOST_LINES


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
        return self._documents.get(name)

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
