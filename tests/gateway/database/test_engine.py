"""A database as two parts of the gateway share it. The prediction log's tests show outages, secrets and file modes."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.database.address import url_at
from gateway.database.engine import Database, now_us
from gateway.database.schema import Schema, versions_table


class Away(Exception):
    """What the part raises."""


def schema(name, version=1, lock=99):
    metadata = MetaData()
    Table(f"{name}_things", metadata, Column("n", Integer, primary_key=True, autoincrement=False))
    versions = versions_table(f"{name}_schema", metadata)
    return Schema(holds=name, metadata=metadata, versions=versions, version=version, lock=lock)


BEES = schema("bees", lock=97)
ANTS = schema("ants", lock=98)


def things(schema):
    return next(table for table in schema.metadata.sorted_tables if table.name.endswith("_things"))


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    return request.getfixturevalue("database") if request.param == "postgresql" else f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def open_database(address):
    opened = []

    def open_(schema, **options):
        opened.append(Database(url_at(address), schema, Away, **options))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


def count(database, schema):
    with database.reading(is_short=True) as connection:
        return connection.execute(select(func.count()).select_from(things(schema))).scalar_one()


def test_two_parts_keep_their_tables_in_one_database(open_database):
    bees, ants = open_database(BEES), open_database(ANTS)
    for database, own in ((bees, BEES), (ants, ANTS)):
        with database.making() as connection:
            connection.execute(insert(things(own)).values(n=1))
    assert [count(bees, BEES), count(ants, ANTS)] == [1, 1]


def test_reading_and_writing_make_no_tables(open_database):
    database = open_database(BEES)
    with open_database(ANTS).making():
        pass  # makes the file
    for use in (database.reading, database.writing):
        with pytest.raises(Away, match="there is no bees in it: it has no table bees_schema"), use():
            raise AssertionError
    with database.making():
        pass
    assert count(database, BEES) == 0


def test_tables_of_a_later_version_are_left_alone(open_database):
    with open_database(schema("bees", version=2)).making():
        pass
    database = open_database(BEES)
    for use in (database.making, database.reading, database.writing):
        with pytest.raises(Away, match=r"its tables are of version \[2\], this gateway knows version \[1\]"), use():
            raise AssertionError


def test_a_transaction_that_raises_leaves_nothing(open_database):
    database = open_database(BEES)

    def fail():
        with database.making() as connection:
            connection.execute(insert(things(BEES)).values(n=1))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with database.making():
        pass
    assert count(database, BEES) == 0


def test_a_row_that_is_refused_is_no_fault_of_the_database(open_database):
    database = open_database(BEES)
    with pytest.raises(IntegrityError), database.making() as connection:
        connection.execute(insert(things(BEES)), [{"n": 1}, {"n": 1}])


def test_the_lock_excludes_other_threads_and_connections(open_database):
    first, second = open_database(BEES, connections=2), open_database(BEES, lock_wait_s=5)
    with first.making():
        pass
    order = []
    started = threading.Event()

    def wait_in_line():
        started.set()
        with second.writing() as connection:
            second.lock(connection)
            order.append("second")

    thread = threading.Thread(target=wait_in_line)
    with first.writing() as connection:
        first.lock(connection)
        thread.start()
        started.wait()
        thread.join(0.2)  # it does not get there
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_several_threads_use_one_database(open_database):
    database = open_database(BEES, connections=2, lock_wait_s=5)
    with database.making():
        pass

    def write(number):
        for n in range(10):
            with database.writing() as connection:
                connection.execute(insert(things(BEES)).values(n=number * 10 + n))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database, BEES) == 40


def test_the_time_is_the_databases(open_database):
    database = open_database(BEES)
    with database.making() as connection:
        assert abs(now_us(connection) / 1e6 - time.time()) < 5


@pytest.mark.parametrize(("is_durable", "level"), [(False, 1), (True, 2)])
def test_a_durable_sqlite_waits_for_the_disk(tmp_path, is_durable, level):
    database = Database(url_at(f"sqlite:///{tmp_path}/state.db"), BEES, Away, is_durable=is_durable)
    with database.making() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
    database.close()


def test_a_file_that_was_deleted_is_made_again(tmp_path):
    database = Database(url_at(f"sqlite:///{tmp_path}/state.db"), BEES, Away)
    with database.making() as connection:
        connection.execute(insert(things(BEES)).values(n=1))
    for path in list(tmp_path.iterdir()):
        path.unlink()
    with pytest.raises(Away, match="there is no such file"):
        count(database, BEES)
    assert not Path(tmp_path / "state.db").exists()
    with database.making():
        pass
    assert count(database, BEES) == 0
    database.close()
