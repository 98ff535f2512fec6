"""A table as CSV (RFC 4180). Texts are always quoted, so that an empty one differs from a value that is missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.prediction_log.offline.tables.columns import Column
from gateway.prediction_log.offline.tables.instances import Block
from gateway.prediction_log.offline.tables.scalars import plain


class CsvLines:
    """Writes to the file ``path``, with the names of the columns on the first line. Raises OSError."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._columns = columns
        self._file.write(",".join(_quoted(column.name) for column in columns) + "\r\n")

    def write(self, block: Block, rows: int) -> None:
        """Write some rows."""
        missing = [""] * rows
        cells = [[_cell(value, kind) for value in block[name]] if name in block else missing for name, kind in self._columns]
        self._file.writelines(",".join(line) + "\r\n" for line in zip(*cells, strict=True))

    def close(self) -> None:
        """Write the rest."""
        self._file.close()


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return ""
    found = plain(value, kind)
    match found:
        case bool():
            return "true" if found else "false"
        case str() if isinstance(value, float):
            return found
        case str():
            return _quoted(found)
        case _:
            return repr(found)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
