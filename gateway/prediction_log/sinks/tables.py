"""The SQL tables: one for each kind of row, with a column for each of its fields, and the version of all of them."""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.types import TypeEngine

from gateway.prediction_log.row import KINDS, Row
from gateway.prediction_log.sinks.sink import SinkAway

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
_SCHEMA: Final = Table("prediction_log_schema", _METADATA, Column("version", BigInteger, primary_key=True, autoincrement=False))


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


def make_ready(connection: Connection) -> None:
    """Make the tables if they are missing; the transaction excludes others that do.

    Raises SinkAway for tables of another version, or of another program.
    """
    if not connection.dialect.has_table(connection, _SCHEMA.name):
        for table in TABLES.values():
            if connection.dialect.has_table(connection, table.name):
                raise SinkAway(f"its table {table.name} is another program's, because there is no table {_SCHEMA.name}")
        _METADATA.create_all(connection)
        connection.execute(insert(_SCHEMA).values(version=VERSION))
    check(connection)


def check(connection: Connection) -> None:
    """Raise SinkAway unless the tables are there, and of this version."""
    if not connection.dialect.has_table(connection, _SCHEMA.name):
        raise SinkAway(f"there is no prediction log in it: it has no table {_SCHEMA.name}")
    found = connection.execute(select(_SCHEMA.c.version)).scalars().all()
    if found != [VERSION]:
        raise SinkAway(f"its tables are of version {found}, this gateway knows version [{VERSION}]")
