"""Reads the columns of an exported table, Parquet or JSON lines, that drift is looked for in."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import orjson

from gateway.prediction_log.offline.drift.column import Values
from gateway.prediction_log.offline.failure import ExportFailure

_SIDES: Final = ("in.", "out.")
_NOT_COMPARED: Final = ("ts", "request_id")  # and different in each row, so that they would fill the memory
_NO_NUMBERS: Final = (".bytes", ".shape")
_WORDS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class DriftTable(Protocol):
    """A table of one model, of whose rows only those that were answered count.

    ``model``: its name; empty when the table does not say.
    """

    model: str

    @property
    def names(self) -> Sequence[str]:
        """The columns that are compared."""

    def column(self, name: str) -> Values:
        """The values of a column, without the rows that have none."""


def read_table(path: Path) -> DriftTable:
    """The table in a file that ``log export`` wrote, with a row for each instance. Raises ExportFailure for another one."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        return _Parquet(path) if start == b"PAR1" else _JsonLines(path)
    except OSError as error:
        raise ExportFailure(f"{path}: {error.strerror or error}") from error


def _compared(path: Path, names: Iterable[str]) -> list[str]:
    found = [name for name in names if name.startswith(_SIDES) and not name.endswith(_NO_NUMBERS)]
    if not found:
        raise ExportFailure(f"{path}: there are no columns in.* and out.*; expected an export --per instance")
    return found


def _only_model(path: Path, models: Iterable[str | None]) -> str:
    named = sorted(model for model in models if model is not None)
    if len(named) > 1:
        raise ExportFailure(f"{path}: rows of {len(named)} models ({', '.join(named)}); export one with --model")
    return named[0] if named else ""


class _Parquet:
    """Reads one column at a time."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - it may be missing, and JSON lines need it not
            from pyarrow import compute, parquet  # noqa: PLC0415
        except ImportError:
            raise ExportFailure(f"{path}: Parquet needs pyarrow: pip install 'serving-gateway[export]'") from None
        try:
            self._file = parquet.ParquetFile(path)
        except pa.ArrowException as error:
            raise ExportFailure(f"{path}: not a Parquet file: {error}") from error
        all_names = self._file.schema_arrow.names
        self.names = _compared(path, all_names)
        models = self._file.read(["model"])["model"].unique().to_pylist() if "model" in all_names else ()
        self.model = _only_model(path, models)
        self._answered = compute.equal(self._file.read(["status"])["status"], 200) if "status" in all_names else None
        self._types = pa.types

    def column(self, name: str) -> Values:
        """See ``DriftTable``."""
        # The reader may give others, too, because it takes a dot in a name for a field in a field.
        found = self._file.read([name])[name]
        found = (found if self._answered is None else found.filter(self._answered)).drop_null()
        if self._types.is_floating(found.type):
            return Values("float", found.to_numpy().astype(np.float64))
        if self._types.is_integer(found.type):
            return Values("integer", found.to_numpy())
        if self._types.is_boolean(found.type):
            return Values("integer", found.to_numpy().astype(np.int64))
        return Values("text", list(map(str, found.to_pylist())))


class _JsonLines:
    def __init__(self, path: Path) -> None:
        columns: dict[str, list[Any]] = {}
        models: set[str | None] = set()
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                row = _row(path, number, line)
                models.add(row.get("model"))
                if row.get("status", 200) == 200:
                    for name, value in row.items():
                        if name not in _NOT_COMPARED:
                            columns.setdefault(name, []).append(value)
        self.names = _compared(path, columns)
        self.model = _only_model(path, models)
        self._columns = columns

    def column(self, name: str) -> Values:
        """See ``DriftTable``."""
        values = self._columns[name]
        kinds = set(map(type, values))
        if kinds <= {int, bool}:
            return Values("integer", np.array(values, np.uint64 if max(values) > np.iinfo(np.int64).max else np.int64))
        if kinds & {int, float} and kinds <= {int, bool, float, str}:
            # What is no finite number is a word there.
            return Values("float", np.array([_WORDS.get(value, np.nan) if type(value) is str else value for value in values]))
        return Values("text", list(map(str, values)))


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ExportFailure(f"{path}: line {number} is no JSON; expected Parquet or JSON lines of log export") from error
    if type(row) is not dict:
        raise ExportFailure(f"{path}: line {number} is no object; expected Parquet or JSON lines of log export")
    return row
