"""A table as Parquet, with zstd and row groups of 65,536 rows. It needs pyarrow, which is the extra ``export``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.prediction_log.offline.tables.columns import Column
from gateway.prediction_log.offline.tables.instances import Block

_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 64 << 20
_BATCH_ROWS: Final = 4096
_BATCH_BYTES: Final = 8 << 20

_TYPES: Final[dict[str, Any]] = {
    "float": pa.float32(),
    "double": pa.float64(),
    # Few programs read floats of 16 bits.
    "half": pa.float32(),
    "bfloat16": pa.float32(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "text": pa.string(),
    "json": pa.string(),
    "bytes": pa.binary(),
    "time": pa.timestamp("us", "UTC"),
}


class Parquet:
    """Writes to the file ``path``. A field's metadata has TensorFlow's name of its dtype. Raises OSError."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._names = [column.name for column in columns]
        self._schema = pa.schema([pa.field(name, _TYPES[kind], metadata={"dtype": kind}) for name, kind in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._empty()

    def write(self, block: Block, rows: int) -> None:
        """Write some rows. They are kept until there are enough for a group."""
        missing = [None] * rows
        for name, values in self._values.items():
            found = block.get(name, missing)
            values.extend(found)
            if isinstance(found[0], bytes | str):
                self._bytes += sum(len(value or "") for value in found)
        self._rows += rows
        if self._rows >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._make_batch()

    def close(self) -> None:
        """Write the rest."""
        if self._rows:
            self._make_batch()
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches), row_group_size=_GROUP_ROWS)
        self._writer.close()

    def _empty(self) -> None:
        self._values: dict[str, list[Any]] = {name: [] for name in self._names}
        self._rows = self._bytes = 0

    def _make_batch(self) -> None:
        arrays = [pa.array(self._values[field.name], field.type) for field in self._schema]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._empty()
        if sum(batch.num_rows for batch in self._batches) >= _GROUP_ROWS or self._size() >= _GROUP_BYTES:
            self._write_groups()

    def _size(self) -> int:
        return sum(batch.nbytes for batch in self._batches)

    def _write_groups(self) -> None:
        """Write what there is, but for a rest that is less than a group and small."""
        table = pa.Table.from_batches(self._batches, self._schema)
        while table.num_rows >= _GROUP_ROWS:
            self._writer.write_table(table.slice(0, _GROUP_ROWS))
            table = table.slice(_GROUP_ROWS)
        if table.nbytes >= _GROUP_BYTES:
            self._writer.write_table(table)
            table = table.slice(table.num_rows)
        self._batches = table.to_batches()
