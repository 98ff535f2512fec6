"""A SQL database as one part of the gateway uses it: its connections, its transactions, and its errors as one class."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from gateway.database.schema import Schema, SchemaError

_MOST_CHARACTERS: Final = 300
# A deleted or replaced SQLite file is noticed when its connection is so old.
_RECYCLE_S: Final = 60

_POSTGRESQL: Final[dict[str, Any]] = {
    "connect_timeout": 2,
    # A host that is gone is noticed in some ten seconds.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "serving-gateway",
    # PgBouncer may give each transaction another connection, which does not know the statements of the one before.
    "prepare_threshold": None,
}
_TIME_LIMIT: Final = "SET LOCAL statement_timeout = 5000"
# The first statement of a transaction that writes. It is no option of the connection, which PgBouncer would refuse.
_BEGIN: Final = {"sqlite": "BEGIN IMMEDIATE", "postgresql": _TIME_LIMIT}
_BEGIN_READING: Final = {"sqlite": "BEGIN", "postgresql": _TIME_LIMIT}
# SQLite's transaction excludes other writers by itself.
_LOCK: Final = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock({number})"}
_NOW_US: Final = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


class Database:
    """The tables of ``schema`` in the database at ``url``, whose dialect is ``sqlite`` or ``postgresql``.

    A connection is opened with the first use. ``away``: what is raised, with a reason in one line, when the database cannot be
    used; only DataError and IntegrityError, the fault of a row, are raised as they are. ``connections``: how many threads use
    it at a time. ``lock_wait_s``: how long SQLite waits for a lock of another process. ``is_durable``: a transaction of SQLite
    is on the disk when it ends, as PostgreSQL's is.
    """

    def __init__(
        self,
        url: URL,
        schema: Schema,
        away: type[Exception],
        *,
        connections: int = 1,
        lock_wait_s: float = 1.0,
        is_durable: bool = False,
    ) -> None:
        self.name = url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)
        self.engine = _engine(url, connections, lock_wait_s, is_durable)
        self._file = url.database if url.get_backend_name() == "sqlite" else None
        self._schema = schema
        self._away = away
        self._is_ready = False

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """A transaction that writes. A file and tables that are missing are made."""
        with self._errors(), self.engine.begin() as connection:
            connection.exec_driver_sql(_BEGIN[connection.dialect.name])
            if not self._is_ready:
                self.lock(connection)
                self._schema.make_ready(connection)
            yield connection
        self._is_ready = True

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes to tables that are there."""
        with self._errors(), self._existing(), self.engine.begin() as connection:
            connection.exec_driver_sql(_BEGIN[connection.dialect.name])
            self._check(connection)
            yield connection

    @contextmanager
    def reading(self, is_short: bool = False) -> Iterator[Connection]:
        """A connection that only reads tables that are there. ``is_short``: in one transaction with a time limit."""
        with self._errors(), self._existing(), self.engine.connect() as connection:
            if is_short:
                connection.exec_driver_sql(_BEGIN_READING[connection.dialect.name])
            self._check(connection)
            yield connection

    def lock(self, connection: Connection) -> None:
        """Exclude everybody else that locks the same tables, until the transaction ends."""
        connection.exec_driver_sql(_LOCK[connection.dialect.name].format(number=self._schema.lock))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def _existing(self) -> Iterator[None]:
        if self._file and not os.path.exists(self._file):
            self.close()  # connections to the file that was there
            raise SchemaError("there is no such file")  # SQLite would make one
        yield

    def _check(self, connection: Connection) -> None:
        if not self._is_ready:
            self._schema.check(connection)
            self._is_ready = True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError):
            raise
        except (SQLAlchemyError, SchemaError) as error:
            self._is_ready = False  # it may be another database when it comes back
            cause = error.orig if isinstance(error, DBAPIError) else error
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            raise self._away(lines[0][:_MOST_CHARACTERS]) from None


def now_us(connection: Connection) -> int:
    """The database's time in microseconds since 1970: the same for all hosts that use it. SQLite's is this host's."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1000
    return int(connection.exec_driver_sql(_NOW_US).scalar_one())


def _engine(url: URL, connections: int, lock_wait_s: float, is_durable: bool) -> Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    # SQLite waits for a lock in the thread of the caller.
    options: dict[str, Any] = {"timeout": lock_wait_s} if is_sqlite else _POSTGRESQL
    engine = create_engine(
        url,
        connect_args={name: value for name, value in options.items() if name not in url.query},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=_RECYCLE_S,
        hide_parameters=True,  # an error must show no values of a row
    )
    if is_sqlite:
        event.listen(engine, "do_connect", _make_file)
        event.listen(engine, "connect", _prepare_durable if is_durable else _prepare)
    return engine


def _make_file(dialect: object, record: object, arguments: list[str], options: dict[str, Any]) -> None:
    """Make the file if it is missing: everybody could read one that SQLite makes. Its other files get the same mode."""
    with suppress(OSError):  # it is there, or SQLite says why it cannot be
        if not options.get("uri"):
            os.close(os.open(os.path.realpath(arguments[0]), os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where _BEGIN says so
    # SQLite does not wait here for others that are doing the same. One of them succeeds, and the file stays so.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _prepare_durable(connection: Any, record: object) -> None:
    _prepare(connection, record)
    connection.execute("PRAGMA synchronous=FULL")
