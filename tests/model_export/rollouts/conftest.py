"""A gateway that is none, without the variables of a shell that has a real one."""

from collections.abc import Iterator

import pytest

from tests.model_export.rollouts.fake_gateway import FakeGateway, fake_gateway


@pytest.fixture
def gateway(monkeypatch) -> Iterator[FakeGateway]:
    for name in ("GATEWAY_URL", "GATEWAY_KEY", "MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)
    with fake_gateway() as gateway:
        yield gateway
