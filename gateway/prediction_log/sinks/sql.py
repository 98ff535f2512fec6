"""Rows in a SQL database: SQLite or PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import astuple
from sqlalchemy import URL, ColumnElement, Connection, Engine, Table, delete, func, select, tuple_

from gateway.database.engine import Database
from gateway.prediction_log.row import KINDS, Row
from gateway.prediction_log.sinks import tables
from gateway.prediction_log.sinks.sink import Filter, Run, SinkAway, SomeRow

_PAGE_ROWS: Final = 200
_PURGE_ROWS: Final = 1000


class SqlSink:
    """The database at ``url``, whose dialect is ``sqlite`` or ``postgresql``. A connection is opened with the first use."""

    def __init__(self, url: URL) -> None:
        self._database = Database(url, tables.SCHEMA, SinkAway)
        self._engine = self._database.engine
        self.name = self._database.name
        self._inserts = {kind: _insert(tables.TABLES[kind], self._engine) for kind in KINDS}

    def write(self, rows: Sequence[Row]) -> None:
        """See ``Sink``."""
        with self._database.making() as connection:
            for kind in KINDS:
                values = [astuple(row) for row in rows if type(row) is kind]
                if values:
                    connection.exec_driver_sql(self._inserts[kind], values)

    def purge(self, before_us: int) -> int:
        """See ``Sink``: it deletes about a thousand rows of each table."""
        with self._database.writing() as connection:
            return sum(_purge(connection, table, before_us) for table in tables.TABLES.values())

    def read(self, kind: type[SomeRow], where: Filter) -> Iterator[SomeRow]:
        """See ``Sink``. It reads a page at a time: a long transaction would keep SQLite from using its log again."""
        table = tables.TABLES[kind]
        conditions = _conditions(table, where)
        if where.newest is not None:
            yield from reversed(self._page(kind, conditions, where.newest, is_newest=True))
            return
        after: list[ColumnElement[bool]] = []
        while page := self._page(kind, [*conditions, *after], _PAGE_ROWS):
            yield from page
            after = [tuple_(*table.primary_key) > (page[-1].ts, page[-1].boot, page[-1].seq)]

    def runs(self, kind: type[Row]) -> list[Run]:
        """See ``Sink``."""
        columns = tables.TABLES[kind].c
        query = select(columns.boot, func.min(columns.seq), func.max(columns.seq), func.count())
        with self._database.reading() as connection:
            return [Run(*row) for row in connection.execute(query.group_by(columns.boot).order_by(func.min(columns.ts)))]

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _page(
        self, kind: type[SomeRow], conditions: list[ColumnElement[bool]], most: int, is_newest: bool = False
    ) -> list[SomeRow]:
        table = tables.TABLES[kind]
        order = [column.desc() if is_newest else column for column in table.primary_key]
        with self._database.reading() as connection:
            found = connection.execute(select(table).where(*conditions).order_by(*order).limit(most))
            return [kind(**row) for row in found.mappings()]


def _insert(table: Table, engine: Engine) -> str:
    """The statement for rows as tuples: with SQLAlchemy's own, each row holds up the other threads three times as long."""
    prepare = engine.dialect.identifier_preparer
    columns = ", ".join(prepare.format_column(column) for column in table.columns)
    values = ", ".join(["?" if engine.dialect.paramstyle == "qmark" else "%s"] * len(table.columns))
    return f"INSERT INTO {table.name} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of our own


def _purge(connection: Connection, table: Table, before_us: int) -> int:
    old = table.c.ts < before_us
    last = connection.execute(select(table.c.ts).where(old).order_by(table.c.ts).offset(_PURGE_ROWS - 1).limit(1)).scalar()
    return connection.execute(delete(table).where(old if last is None else table.c.ts <= last)).rowcount


def _conditions(table: Table, where: Filter) -> list[ColumnElement[bool]]:
    columns = table.c
    conditions: list[ColumnElement[bool]] = []
    if where.from_us is not None:
        conditions.append(columns.ts >= where.from_us)
    if where.to_us is not None:
        conditions.append(columns.ts < where.to_us)
    if where.model is not None and "model" in columns:
        conditions.append(columns.model == where.model)
    if where.models is not None and "model" in columns:
        conditions.append(columns.model.in_(where.models))
    if where.version is not None and "version" in columns:
        conditions.append(columns.version == where.version)
    if where.statuses is not None and "status" in columns:
        conditions += [columns.status >= where.statuses.start, columns.status < where.statuses.stop]
    if where.request_ids is not None:
        conditions.append(columns.request_id.in_(where.request_ids))
    return conditions
