"""Databases for the tests of the prediction log."""

import itertools

import pytest

from tests.postgres import PASSWORD, postgres

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server():
    with postgres() as server:
        yield server


@pytest.fixture
def database(server):
    """The address of an empty database of its own."""
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/{name}"
