"""What is particular to SQL databases: made by several processes at once, versions, addresses, time limits, secrets."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DataError

from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter, SinkAway
from gateway.prediction_log.sinks.tables import TABLES
from tests.gateway.prediction_log.making import a_label, a_row
from tests.gateway.prediction_log.outages import black_hole
from tests.postgres import PASSWORD
from tests.waiting import free_port

_WORKER = """
import sys
from gateway.prediction_log.sinks.address import sink_at
from tests.gateway.prediction_log.making import a_row
sink = sink_at(sys.argv[1])
print("ready", flush=True)
sys.stdin.read(1)
for seq in range(1, 51):
    sink.write([a_row(ts=seq, boot=sys.argv[2], seq=seq)])
sink.close()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    return request.getfixturevalue("database") if request.param == "postgresql" else f"sqlite:///{tmp_path}/log.db"


def sql(address, statement):
    """The rows of a statement, without the code under test."""
    if address.startswith("sqlite"):
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection, connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(address) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def open_sink():
    """Opens sinks, and closes them at the end."""
    sinks = []

    def open_(address):
        sinks.append(sink_at(address))
        return sinks[-1]

    yield open_
    for sink in sinks:
        sink.close()


def test_several_processes_make_the_tables_of_one_database_at_once(address, open_sink):
    commands = [[sys.executable, "-c", _WORKER, address, str(number)] for number in range(4)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for command in commands]
    for worker in workers:
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        worker.stdin.write(b"!")
        worker.stdin.flush()
    assert [worker.communicate()[0] or worker.returncode for worker in workers] == [0] * 4
    runs = open_sink(address).runs(PredictionRow)
    assert sorted((run.boot, run.first, run.last, run.rows) for run in runs) == [(str(n), 1, 50, 50) for n in range(4)]
    assert sql(address, "SELECT version FROM prediction_log_schema") == [(1,)]


def test_a_row_that_was_written_before_the_connection_broke_is_not_there_twice(address, open_sink):
    """The sink cannot know whether a commit without an answer was made, and writes such rows again."""
    rows = [a_row(ts=1, boot="b", seq=1), a_row(ts=2, boot="b", seq=2), a_label(ts=2, boot="b", seq=1)]
    sink = open_sink(address)
    sink.write(rows[:1])
    sink.write(rows)
    assert sql(address, "SELECT count(*) FROM predictions") == [(2,)]
    assert sql(address, "SELECT count(*) FROM feedback") == [(1,)]


def test_tables_of_another_version_are_left_alone(address, open_sink):
    sink = open_sink(address)
    sink.write([])
    sql(address, "UPDATE prediction_log_schema SET version = 7")
    other = open_sink(address)
    with pytest.raises(SinkAway, match=r"its tables are of version \[7\], this gateway knows version \[1\]"):
        other.write([a_row()])
    for look in (lambda: list(other.read(PredictionRow, Filter())), lambda: other.runs(PredictionRow), lambda: other.purge(1)):
        with pytest.raises(SinkAway, match=r"version \[7\]"):
            look()
    assert sql(address, "SELECT count(*) FROM predictions") == [(0,)]


def test_a_table_of_another_program_is_left_alone_and_said_to_be_none_of_ours(address, open_sink):
    sql(address, "CREATE TABLE predictions (x int)")
    sink = open_sink(address)
    with pytest.raises(SinkAway, match="its table predictions is another program's"):
        sink.write([a_row()])
    for look in (lambda: list(sink.read(PredictionRow, Filter())), lambda: sink.runs(PredictionRow), lambda: sink.purge(1)):
        with pytest.raises(SinkAway, match="there is no prediction log in it"):
            look()
    assert not inspect(sink._engine).has_table("feedback")


def test_only_the_owner_may_read_what_sqlite_keeps(tmp_path, open_sink):
    shared = tmp_path / "shared.db"
    shared.touch(mode=0o640)
    for path in (tmp_path / "log.db", shared):
        open_sink(f"sqlite:///{path}").write([a_row()])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    names = ("log.db", "log.db-wal", "log.db-shm")
    assert {name: mode for name, mode in modes.items() if name.startswith("log")} == dict.fromkeys(names, 0o600)
    assert modes["shared.db"] == 0o640  # a file that is there keeps its mode


def test_tables_that_were_dropped_are_made_again(address, open_sink):
    sink = open_sink(address)
    sink.write([a_row(boot="b", seq=1)])
    for table in ("predictions", "feedback", "prediction_log_schema"):
        sql(address, f"DROP TABLE {table}")
    with pytest.raises(SinkAway, match="predictions"):
        sink.write([a_row(boot="b", seq=2)])
    sink.write([a_row(boot="b", seq=2)])
    assert [row.seq for row in sink.read(PredictionRow, Filter())] == [2]


def test_rows_of_one_batch_are_written_together_or_not_at_all(address, open_sink):
    sink = open_sink(address)
    sink.write([])
    with pytest.raises((OverflowError, DataError)):
        sink.write([a_row(boot="b", seq=1), a_row(boot="b", seq=2, status=2**70)])
    assert list(sink.read(PredictionRow, Filter())) == []


def test_a_batch_that_the_database_does_not_take_is_no_fault_of_the_database(database, open_sink):
    sink = open_sink(database)
    with pytest.raises(Exception, match="NUL") as refusal:
        sink.write([a_row(model="a\0b")])
    assert not isinstance(refusal.value, SinkAway)


def test_there_are_a_key_and_an_index_of_ids(address, open_sink):
    sink = open_sink(address)
    sink.write([])
    looked = inspect(sink._engine)
    for table in TABLES.values():
        assert looked.get_pk_constraint(table.name)["constrained_columns"] == ["ts", "boot", "seq"]
        assert [index["column_names"] for index in looked.get_indexes(table.name)] == [["request_id"]]


def test_sqlite_writes_ahead_and_does_not_wait_for_the_disk_with_each_batch(tmp_path, open_sink):
    sink = open_sink(f"sqlite:///{tmp_path}/log.db")
    sink.write([])
    with sink._engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 1]


def test_reading_makes_no_file_where_there_is_none(tmp_path, open_sink):
    sink = open_sink(f"sqlite:///{tmp_path}/log.db")
    with pytest.raises(SinkAway, match="there is no such file"):
        list(sink.read(PredictionRow, Filter()))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_accepts_and_never_answers_is_given_up(open_sink):
    port = free_port()
    with black_hole(port), pytest.raises(SinkAway, match="timeout"):
        open_sink(f"postgresql://anna:secret-word@127.0.0.1:{port}/db").write([])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("postgresql://anna:secret-word@127.0.0.1:{port}/db", "refused"),
        ("postgresql://anna:secret-word@127.0.0.1:{server}/db", "password authentication failed"),
        ("postgresql://127.0.0.1:{server}/db?user=anna&password=secret-word", "password authentication failed"),
        ("postgresql://anna:secret-word@no.such.host.invalid/db", "resolve"),
        ("sqlite:////no/such/folder/log.db", "unable to open database file"),
    ],
    ids=["refused", "wrong password", "password as option", "no such host", "no folder"],
)
def test_a_database_that_is_away_is_said_to_be_in_one_line_without_its_password(server, address, reason, open_sink):
    sink = open_sink(address.format(port=free_port(), server=server.port))
    with pytest.raises(SinkAway, match=reason) as away:
        sink.write([a_row()])
    assert "secret-word" not in f"{away.value!r} {sink.name} {away.value.__cause__}"
    assert len(str(away.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "an address that begins with ''"),
        ("predictions.db", "an address that begins with 'predictions.db'"),
        ("mysql://anna:secret-word@host/db", "an address that begins with 'mysql'"),
        ("postgresql+asyncpg://anna:secret-word@host/db", "begins with 'postgresql+asyncpg'"),
        ("postgresql://anna:x@secret-word@host/db", "in a user or password write %40 for @"),
        ("postgresql://anna:x@secret/secret-word@host/db", "write %40 for @"),
        ("postgresql://host?user=anna&password=secret-word@host", "%3F for ?"),
        ("postgresql://", "neither a host nor a database"),
        ("postgresql://anna:secret-word@host:port/db", "an address that cannot be read"),
        ("postgresql", "an address that cannot be read"),
        ("postgresql://anna:\udcff@host/db", "an address that cannot be read"),
        ("sqlite:///\udcff", "an address that cannot be read"),
        ("sqlite://", "got no file"),
        ("sqlite:///", "got no file"),
        ("sqlite:///:memory:", "got no file"),
        ("sqlite://secret-word/log.db", "got no file"),
        ("file://host/folder", "expected file:///folder"),
        ("file:folder", "expected file:///folder"),
        ("file:///", "expected file:///folder"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line_without_its_password(address, why):
    with pytest.raises(ValueError, match="expected") as refusal:
        sink_at(address)
    assert why in str(refusal.value)
    assert "secret-word" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_spellings_of_postgresql_are_understood(database, scheme, open_sink):
    sink = open_sink(database.replace("postgresql", scheme, 1))
    sink.write([a_row()])
    assert sink.name.startswith("postgresql://postgres:***@")
    assert PASSWORD not in sink.name
