"""nginx, gateway and model server as real processes."""

from collections.abc import Iterator

import pytest

from tests.edge.nginx import Edge, edge_before
from tests.edge.recorder import Recorder, recorder
from tests.stack.conftest import Stack, export

MODELS = ("half_plus_two",)


@pytest.fixture(scope="session")
def edge_models(tmp_path_factory):
    """An example model, built once."""
    folder = tmp_path_factory.mktemp("edge_models")
    for name in MODELS:
        export("build", name, "--models-dir", str(folder))
    return folder


@pytest.fixture(scope="session")
def edge_stack(edge_models, tmp_path_factory) -> Iterator[Stack]:
    """A model server and a gateway that writes a prediction log."""
    folder = tmp_path_factory.mktemp("edge_stack")
    stack = Stack(folder, edge_models, MODELS, prediction_log=f"sqlite:///{folder}/predictions.db")
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def edge(edge_stack) -> Iterator[Edge]:
    """nginx before them, for tests that only ask."""
    with edge_before(edge_stack.gateway_port) as running:
        yield running


@pytest.fixture
def recorded() -> Iterator[Recorder]:
    with recorder() as running:
        yield running


@pytest.fixture
def recording_edge(recorded) -> Iterator[Edge]:
    """nginx before a recorder."""
    with edge_before(recorded.port) as running:
        yield running
