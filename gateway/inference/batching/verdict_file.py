"""The verdicts against joining that the workers of one gateway share: a file that only grows, a line for each piece of news.

A line is written in one piece, so lines of several workers never mix. To ask for news costs one ``fstat``.
"""

import json
import os
from pathlib import Path
from typing import Any

_MODE = 0o600


class VerdictFile:
    """The file at ``path``, which is made when it is missing. Open it after the fork."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._read = 0
        self._rest = b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def tell(self, news: dict[str, Any]) -> None:
        """Add a line for all workers. Raises OSError when it cannot be written."""
        os.write(self._file, json.dumps(news).encode() + b"\n")

    def news(self) -> list[dict[str, Any]]:
        """The lines that were added since the last call, this worker's own included."""
        if os.fstat(self._file).st_size == self._read:
            return []
        data = self._rest + os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        self._read += len(data) - len(self._rest)
        *lines, self._rest = data.split(b"\n")
        return [json.loads(line) for line in lines]
