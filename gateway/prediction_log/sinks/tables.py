"""The SQL tables: one for each kind of row, with a column for each of its fields, and the version of all of them."""

from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from gateway.database.schema import Schema, versions_table
from gateway.prediction_log.row import KINDS, Row

VERSION: Final = 1
"""A change of a row's fields needs the next version, and a step here that alters the tables of the one before."""

_TYPES: Final[dict[object, type[TypeEngine[Any]]]] = {
    str: Text,
    int: BigInteger,
    float: Double,
    bytes: LargeBinary,
    bool: Boolean,
}
# A row that is written again, because the first attempt's outcome is not known, has the same key.
_KEY: Final = ("ts", "boot", "seq")

_METADATA: Final = MetaData()


def _column(field: msgspec.structs.FieldInfo) -> Column[Any]:
    optional = {kind | None: sql for kind, sql in _TYPES.items()}  # type: ignore[operator]
    is_optional = field.type in optional
    sql = optional[field.type] if is_optional else _TYPES[field.type]
    return Column(field.name, sql, primary_key=field.name in _KEY, nullable=is_optional, autoincrement=False)


def _table(kind: type[Row]) -> Table:
    table = Table(kind.TABLE, _METADATA, *map(_column, msgspec.structs.fields(kind)))
    Index(f"{kind.TABLE}_request_id", table.c.request_id)
    return table


TABLES: Final[dict[type[Row], Table]] = {kind: _table(kind) for kind in KINDS}
"""The table of each kind of row, with its columns in the order of the fields."""

SCHEMA: Final = Schema(
    holds="prediction log",
    metadata=_METADATA,
    versions=versions_table("prediction_log_schema", _METADATA),
    version=VERSION,
    lock=7022331140561,
)
