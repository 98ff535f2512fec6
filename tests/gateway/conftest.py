"""The whole gateway application in front of a fake model server, without a web server."""

import itertools
import json
from pathlib import Path

import hypothesis
import pytest

from gateway.app import close, create_app
from gateway.settings import Settings, settings_from_environment
from tests.gateway.fake_serving import FakeServing, serving
from tests.postgres import PASSWORD, postgres
from tests.waiting import wait_for

# An example of a property test may take as long as a busy machine needs, and leaves nothing on disk.
hypothesis.settings.register_profile("project", deadline=None, database=None)
hypothesis.settings.load_profile("project")


def settings(port: int, **changes: object) -> Settings:
    environ = {"GATEWAY_SERVING_TARGET": f"127.0.0.1:{port}", "GATEWAY_CATALOG_POLL_MS": "50"}
    environ |= {f"GATEWAY_{name.upper()}": str(value) for name, value in changes.items()}
    return settings_from_environment(environ)


_numbers = itertools.count()


class Client:
    """Flask's test client, with the fake behind it; ``post`` sends JSON text or a document."""

    def __init__(self, app, fake: FakeServing) -> None:
        self.http = app.test_client()
        self.fake = fake

    def get(self, path, **kwargs):
        return self.http.get(path, **kwargs)

    def post(self, path, document, **kwargs):
        body = document if isinstance(document, str | bytes) else json.dumps(document)
        return self.http.post(path, data=body, **kwargs)


@pytest.fixture
def fake():
    return FakeServing()


@pytest.fixture
def make_client(fake):
    """Makes a client of an app with changed settings; waits until the app has seen its models."""
    apps = []
    with serving(fake) as port:

        def make(**changes: object) -> Client:
            app = create_app(settings(port, **changes))
            apps.append(app)
            client = Client(app, fake)
            wait_for(lambda: client.get("/readyz").status_code == 200)
            return client

        yield make
        for app in apps:
            close(app)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.config"
    path.write_text('model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" } }')
    return path


@pytest.fixture
def client(make_client, config_file):
    return make_client(model_config_file=config_file)


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server."""
    with postgres() as server:
        yield server


@pytest.fixture
def database(server):
    """The address of an empty PostgreSQL database of its own."""
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/{name}"
