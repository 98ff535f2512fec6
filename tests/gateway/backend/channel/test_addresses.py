"""A gRPC target as the addresses behind it."""

import pytest

from gateway.backend.channel.addresses import addresses_of, host_of
from tests.event_loop import on_loop


@pytest.mark.parametrize(
    ("target", "addresses"),
    [
        ("127.0.0.1:8500", ("ipv4:127.0.0.1:8500",)),
        ("[::1]:8500", ("ipv6:[::1]:8500",)),
        ("127.0.0.1", ("ipv4:127.0.0.1:443",)),
        ("dns:///127.0.0.1:8500", ("ipv4:127.0.0.1:8500",)),
        ("dns:127.0.0.1:8500", ("ipv4:127.0.0.1:8500",)),
        ("dns://8.8.8.8/127.0.0.1:8500", ("ipv4:127.0.0.1:8500",)),
        ("ipv4:127.0.0.2:1,127.0.0.1:2", ("ipv4:127.0.0.1:2", "ipv4:127.0.0.2:1")),
        ("ipv6:[::1]:1,[::2]:2", ("ipv6:[::1]:1", "ipv6:[::2]:2")),
        ("unix:///run/serving.sock", ("unix:///run/serving.sock",)),
        ("xds:///serving", ("xds:///serving",)),
    ],
)
@on_loop
async def test_a_target_has_addresses(target, addresses):
    assert await addresses_of(target) == addresses


@on_loop
async def test_a_name_has_those_of_the_resolver():
    assert "ipv4:127.0.0.1:8500" in await addresses_of("localhost:8500")


@on_loop
async def test_a_name_that_nobody_knows_is_an_error():
    with pytest.raises(OSError, match=r"."):
        await addresses_of("serving.invalid:8500")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("serving:8500", "serving"),
        ("dns:///serving:8500", "serving"),
        ("[::1]:8500", "::1"),
        ("ipv4:127.0.0.1:1", ""),
        ("unix:/run/serving", ""),
    ],
)
def test_a_target_may_name_a_host(target, host):
    assert host_of(target) == host
