"""Each model server behind the target is asked and told by itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest

from gateway.backend.model_config import ModelConfigError
from gateway.backend.servers.each import Each
from gateway.backend.servers.servers import Servers
from gateway.backend.servers.target import parse_target
from gateway.errors import Unavailable
from gateway.inference.status import ModelStatus
from gateway.serving_tls import ServingTls
from tests.authority import authority
from tests.event_loop import on_loop
from tests.gateway.fake_serving import FakeServing, Version, serving
from tests.waiting import free_port

CONFIG = 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } }'


@contextmanager
def two_servers() -> Iterator[tuple[FakeServing, FakeServing, str, str]]:
    one, two = FakeServing(), FakeServing()
    two.models["m"][2] = Version()
    with serving(one) as first, serving(two) as second:
        yield one, two, f"127.0.0.1:{first}", f"127.0.0.1:{second}"


@asynccontextmanager
async def each_of(target: str, **given) -> AsyncIterator[Each]:
    servers = Servers(parse_target(target), **given)
    servers.start()
    await servers.first_answer()
    try:
        yield Each(servers)
    finally:
        await servers.close()


@on_loop
async def test_each_server_says_what_it_serves():
    with two_servers() as (_, _, first, second):
        async with each_of(f"{first},{second}") as each:
            statuses = await each.statuses("m", 5)
    assert {address: status.available for address, status in statuses.items()} == {first: (1,), second: (2, 1)}


@on_loop
async def test_a_server_without_the_model_says_so_and_one_that_is_away_is_an_error():
    fake = FakeServing()
    away = f"127.0.0.1:{free_port()}"
    with serving(fake) as port:
        here = f"127.0.0.1:{port}"
        async with each_of(f"{here},{away}") as each:
            statuses = await each.statuses("other", 5)
    assert statuses[here] == ModelStatus("other", problem="Could not find any versions of model other")
    assert isinstance(statuses[away], Unavailable)


@on_loop
async def test_a_configuration_is_told_to_each_server_and_what_they_say_is_told():
    with two_servers() as (one, two, first, second):
        two.on_reload = lambda config: (grpc.StatusCode.UNKNOWN, "m: no version 3")
        async with each_of(f"{first},{second}") as each:
            assert await each.reload(CONFIG, 5) == {first: "", second: "UNKNOWN: m: no version 3"}
    assert [config.model_config_list.config[0].name for config in one.reloads + two.reloads] == ["m", "m"]


@on_loop
async def test_a_server_that_takes_no_configuration_is_told_too():
    fake = FakeServing()
    fake.on_reload = lambda config: (grpc.StatusCode.UNIMPLEMENTED, "")
    with serving(fake) as port:
        async with each_of(f"127.0.0.1:{port}") as each:
            assert list((await each.reload(CONFIG, 5)).values()) == ["UNIMPLEMENTED: "]


@pytest.mark.parametrize("text", ["model_config_list {", "", "custom_model_config {}"])
@on_loop
async def test_what_is_no_list_of_models_is_not_sent(text):
    fake = FakeServing()
    with serving(fake) as port:
        async with each_of(f"127.0.0.1:{port}") as each:
            with pytest.raises(ModelConfigError):
                await each.reload(text, 5)
    assert not fake.reloads


@on_loop
async def test_by_tls_the_name_that_is_checked_is_that_of_the_target(tmp_path):
    """Not the address, which no certificate names."""
    signer = authority(tmp_path, "signer")
    pair = signer.signed("serving.example")
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    with serving(FakeServing(), credentials=credentials) as port:

        def resolve(host: str, port: int) -> list[str]:
            return [f"127.0.0.1:{port}"]

        tls = ServingTls(signer.certificate)
        async with each_of(f"serving.example:{port}", tls=tls, resolve=resolve) as each:
            statuses = await each.statuses("m", 5)
    assert [status.available for status in statuses.values()] == [(1,)]
