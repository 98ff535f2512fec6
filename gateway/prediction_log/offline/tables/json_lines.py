"""A table as JSON lines: an object for each row, without the columns that have no value there."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from gateway.prediction_log.offline.tables.columns import JSON, Column
from gateway.prediction_log.offline.tables.instances import Block
from gateway.prediction_log.offline.tables.scalars import plain


class JsonLines:
    """Writes to the file ``path``. Raises OSError."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("wb")
        self._columns = columns

    def write(self, block: Block, rows: int) -> None:
        """Write some rows."""
        lines: list[dict[str, object]] = [{} for _ in range(rows)]
        for name, kind in self._columns:
            for line, value in zip(lines, block.get(name, ()), strict=False):
                if value is not None:
                    line[name] = orjson.Fragment(value) if kind == JSON else plain(value, kind)
        self._file.writelines(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)

    def close(self) -> None:
        """Write the rest."""
        self._file.close()
