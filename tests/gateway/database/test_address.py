"""Addresses of SQL databases. What the prediction log's own addresses are refused for is in its test_sql.py."""

import pytest

from gateway.database.address import is_sql, url_at


@pytest.mark.parametrize(
    ("address", "driver"),
    [
        ("sqlite:///state.db", "sqlite+pysqlite"),
        ("postgres://host/db", "postgresql+psycopg"),
        ("postgresql://host/db", "postgresql+psycopg"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg"),
    ],
)
def test_an_address_gets_the_driver_that_is_installed(address, driver):
    assert is_sql(address)
    assert url_at(address).drivername == driver


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("file:///folder", "expected sqlite:///file or postgresql://user:password@host/database, got an address that begins"),
        ("off", "got an address that begins with 'off'"),
        ("", "got an address that begins with ''"),
        ("mysql://anna:secret-word@host/db", "begins with 'mysql'"),
        ("sqlite:///", "got no file"),
        ("postgresql://anna:x@secret-word@host/db", "write %40 for @"),
        ("postgresql://anna:secret-word@host:port/db", "cannot be read"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(address, why):
    with pytest.raises(ValueError, match="expected") as refusal:
        url_at(address)
    assert why in str(refusal.value)
    assert "secret-word" not in str(refusal.value)


def test_the_caller_says_what_is_expected():
    with pytest.raises(ValueError, match="expected a place for rows, got an address that begins with 'off'"):
        url_at("off", "a place for rows")
