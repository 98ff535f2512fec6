"""One server for the tests that only ask; those that disturb it make their own."""

from collections.abc import Iterator

import pytest

from tests.gateway.server.served import Served


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server
