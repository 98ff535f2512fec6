"""Each model server behind the target is asked and told by itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest

from gateway.backend.model_config import ModelConfigError
from gateway.backend.replicas import Replicas
from gateway.deadline import Deadline
from gateway.errors import Unavailable
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus
from gateway.serving_tls import ServingTls
from tests.authority import authority
from tests.event_loop import on_loop, until
from tests.gateway.fake_serving import FakeServing, Version, serving
from tests.waiting import free_port

CONFIG = 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } }'


@contextmanager
def two_servers() -> Iterator[tuple[FakeServing, FakeServing, str, str]]:
    one, two = FakeServing(), FakeServing()
    two.models["m"][2] = Version()
    with serving(one) as first, serving(two) as second:
        yield one, two, f"ipv4:127.0.0.1:{first}", f"ipv4:127.0.0.1:{second}"


@asynccontextmanager
async def replicas_of(target: str, **given) -> AsyncIterator[Replicas]:
    replicas = Replicas(target, **given)
    try:
        yield replicas
    finally:
        await replicas.close()


def listed(*addresses: str) -> str:
    return "ipv4:" + ",".join(address.removeprefix("ipv4:") for address in addresses)


@on_loop
async def test_each_server_says_what_it_serves():
    with two_servers() as (_, _, first, second):
        async with replicas_of(listed(first, second)) as replicas:
            statuses = await replicas.statuses("m", 5)
    assert {address: status.available for address, status in statuses.items()} == {first: (1,), second: (2, 1)}


@on_loop
async def test_a_server_without_the_model_says_so_and_one_that_is_away_is_an_error():
    fake = FakeServing()
    away = f"ipv4:127.0.0.1:{free_port()}"
    with serving(fake) as port:
        here = f"ipv4:127.0.0.1:{port}"
        async with replicas_of(listed(here, away)) as replicas:
            statuses = await replicas.statuses("other", 5)
    assert statuses[here] == ModelStatus("other", problem="Could not find any versions of model other")
    assert isinstance(statuses[away], Unavailable)


@on_loop
async def test_a_configuration_is_told_to_each_server_and_what_they_say_is_told():
    with two_servers() as (one, two, first, second):
        two.on_reload = lambda config: (grpc.StatusCode.UNKNOWN, "m: no version 3")
        async with replicas_of(listed(first, second)) as replicas:
            assert await replicas.reload(CONFIG, 5) == {first: "", second: "UNKNOWN: m: no version 3"}
    assert [config.model_config_list.config[0].name for config in one.reloads + two.reloads] == ["m", "m"]


@on_loop
async def test_a_server_that_takes_no_configuration_is_told_too():
    fake = FakeServing()
    fake.on_reload = lambda config: (grpc.StatusCode.UNIMPLEMENTED, "")
    with serving(fake) as port:
        async with replicas_of(f"127.0.0.1:{port}") as replicas:
            assert list((await replicas.reload(CONFIG, 5)).values()) == ["UNIMPLEMENTED: "]


@pytest.mark.parametrize("text", ["model_config_list {", "", "custom_model_config {}"])
@on_loop
async def test_what_is_no_list_of_models_is_not_sent(text):
    fake = FakeServing()
    with serving(fake) as port:
        async with replicas_of(f"127.0.0.1:{port}") as replicas:
            with pytest.raises(ModelConfigError):
                await replicas.reload(text, 5)
    assert not fake.reloads


@on_loop
async def test_servers_that_come_and_go_are_followed():
    found: list[tuple[str, ...] | OSError] = []

    async def resolve(target: str) -> tuple[str, ...]:
        answer = found[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    with two_servers() as (_, _, first, second):
        async with replicas_of("serving:8500", resolve=resolve, resolve_every_s=0) as replicas:
            found[:] = [OSError("no such name")]
            assert await replicas.statuses("m", 5) == {}
            found[:] = [(first,)]
            assert list(await replicas.statuses("m", 5)) == [first]
            found[:] = [(first, second)]
            assert set(await replicas.statuses("m", 5)) == {first, second}
            kept = (await replicas.clients())[second]
            found[:] = [(second,)]
            assert list(await replicas.statuses("m", 5)) == [second]
            found[:] = [OSError("the resolver is away")]
            assert await replicas.clients() == {second: kept}


@on_loop
async def test_connections_that_nobody_uses_are_closed():
    with serving(FakeServing()) as port:
        async with replicas_of(f"127.0.0.1:{port}", idle_s=0) as replicas:
            client = next(iter((await replicas.clients()).values()))
            await until(lambda: client.is_connected)
            await replicas.close_unused()
            with pytest.raises(Unavailable):
                await client.status(ModelRef("m"), Deadline.after(5))
            assert len(await replicas.statuses("m", 5)) == 1


@on_loop
async def test_connections_in_use_stay():
    with serving(FakeServing()) as port:
        async with replicas_of(f"127.0.0.1:{port}") as replicas:
            client = next(iter((await replicas.clients()).values()))
            await replicas.close_unused()
            assert (await replicas.clients())[f"ipv4:127.0.0.1:{port}"] is client


@on_loop
async def test_by_tls_the_name_that_is_checked_is_that_of_the_target(tmp_path):
    """Not the address, which no certificate names."""
    signer = authority(tmp_path, "signer")
    pair = signer.signed("localhost")
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    with serving(FakeServing(), credentials=credentials) as port:

        async def resolve(target: str) -> tuple[str, ...]:
            return (f"ipv4:127.0.0.1:{port}",)

        async with replicas_of(f"localhost:{port}", tls=ServingTls(signer.certificate), resolve=resolve) as replicas:
            statuses = await replicas.statuses("m", 5)
    assert [status.available for status in statuses.values()] == [(1,)]
