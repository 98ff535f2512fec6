"""Databases of rollouts: SQLite and PostgreSQL."""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from gateway.rollout.store.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    return request.getfixturevalue("database") if request.param == "postgresql" else f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def open_store(address):
    """Opens one more store of the same database, as another process would."""
    stores = []

    def open_(**options):
        stores.append(Store(address, **options))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def sql(address):
    """Makes a statement, without the code under test."""

    def execute(statement):
        if address.startswith("sqlite"):
            with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection, connection:
                return connection.execute(statement).fetchall()
        with psycopg.connect(address) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return execute
