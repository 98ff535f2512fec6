"""Rows in a SQL database: SQLite or PostgreSQL, by SQLAlchemy and its pool."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from msgspec.structs import astuple
from sqlalchemy import URL, ColumnElement, Connection, Engine, Table, create_engine, delete, event, func, select, tuple_
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from gateway.prediction_log.row import KINDS, Row
from gateway.prediction_log.sinks import tables
from gateway.prediction_log.sinks.sink import Filter, Run, SinkAway, SomeRow

_PAGE_ROWS: Final = 200
_PURGE_ROWS: Final = 1000
_MOST_CHARACTERS: Final = 300
# A deleted or replaced SQLite file is noticed when its connection is so old.
_RECYCLE_S: Final = 60

_CONNECT: Final[dict[str, dict[str, Any]]] = {
    # For a lock of another process. It is waited for in the thread of the writer only.
    "sqlite": {"timeout": 1.0},
    "postgresql": {
        "connect_timeout": 2,
        # A host that is gone is noticed in some ten seconds.
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "application_name": "serving-gateway",
        # PgBouncer may give each transaction another connection, which does not know the statements of the one before.
        "prepare_threshold": None,
    },
}
# The first statement of a transaction that writes. It is no option of the connection, which PgBouncer would refuse.
_BEGIN: Final = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SET LOCAL statement_timeout = 5000"}
# SQLite's transaction excludes other writers by itself. The number is the log's own.
_LOCK: Final = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock(7022331140561)"}


class SqlSink:
    """The database at ``url``, whose dialect is ``sqlite`` or ``postgresql``. A connection is opened with the first use."""

    def __init__(self, url: URL) -> None:
        self.name = url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)
        self._file = url.database if url.get_backend_name() == "sqlite" else None
        self._engine = _engine(url)
        self._inserts = {kind: _insert(tables.TABLES[kind], self._engine) for kind in KINDS}
        self._is_ready = False

    def write(self, rows: Sequence[Row]) -> None:
        """See ``Sink``."""
        try:
            with self._transaction() as connection:
                if not self._is_ready:
                    connection.exec_driver_sql(_LOCK[connection.dialect.name])
                    tables.make_ready(connection)
                for kind in KINDS:
                    values = [astuple(row) for row in rows if type(row) is kind]
                    if values:
                        connection.exec_driver_sql(self._inserts[kind], values)
        except SinkAway:
            self._is_ready = False  # it may be another database when it comes back
            raise
        self._is_ready = True

    def purge(self, before_us: int) -> int:
        """See ``Sink``: it deletes about a thousand rows of each table."""
        self._expect_file()
        with self._transaction() as connection:
            self._check(connection)
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
        with self._reading() as connection:
            return [Run(*row) for row in connection.execute(query.group_by(columns.boot).order_by(func.min(columns.ts)))]

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _page(
        self, kind: type[SomeRow], conditions: list[ColumnElement[bool]], most: int, is_newest: bool = False
    ) -> list[SomeRow]:
        table = tables.TABLES[kind]
        order = [column.desc() if is_newest else column for column in table.primary_key]
        with self._reading() as connection:
            found = connection.execute(select(table).where(*conditions).order_by(*order).limit(most))
            return [kind(**row) for row in found.mappings()]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with _errors(), self._engine.begin() as connection:
            connection.exec_driver_sql(_BEGIN[connection.dialect.name])
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._expect_file()
        with _errors(), self._engine.connect() as connection:
            self._check(connection)
            yield connection

    def _expect_file(self) -> None:
        if self._file and not os.path.exists(self._file):
            raise SinkAway("there is no such file")  # SQLite would make one

    def _check(self, connection: Connection) -> None:
        if not self._is_ready:
            tables.check(connection)
            self._is_ready = True


def _engine(url: URL) -> Engine:
    given = {name: value for name, value in _CONNECT[url.get_backend_name()].items() if name not in url.query}
    # An error must show no values of a row.
    engine = create_engine(url, connect_args=given, pool_size=1, max_overflow=0, pool_recycle=_RECYCLE_S, hide_parameters=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "do_connect", _make_file)
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _make_file(dialect: object, record: object, arguments: list[str], options: dict[str, Any]) -> None:
    """Make the file if it is missing: everybody could read one that SQLite makes. Its other files get the same mode."""
    with suppress(OSError):  # it is there, or SQLite says why it cannot be
        if not options.get("uri"):
            os.close(os.open(os.path.realpath(arguments[0]), os.O_CREAT | os.O_EXCL, 0o600))


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where _BEGIN says so
    # SQLite does not wait here for others that are doing the same. One of them succeeds, and the file stays so.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


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
    if where.version is not None and "version" in columns:
        conditions.append(columns.version == where.version)
    if where.request_ids is not None:
        conditions.append(columns.request_id.in_(where.request_ids))
    return conditions


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (DataError, IntegrityError):
        raise  # the fault of a row
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        raise SinkAway(lines[0][:_MOST_CHARACTERS]) from None
