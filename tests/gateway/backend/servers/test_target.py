"""What a target names: servers, names to look up, or what only gRPC understands."""

import re

import pytest

from gateway.backend.servers.target import Name, Target, is_target, parse_target


@pytest.mark.parametrize(
    ("text", "names", "fixed"),
    [
        ("127.0.0.1:8500", (), ("127.0.0.1:8500",)),
        ("[::1]:8500", (), ("[::1]:8500",)),
        ("localhost:8500", (), ("localhost:8500",)),
        ("serving:8500", (Name("serving", 8500),), ()),
        ("dns:///serving:8500", (Name("serving", 8500),), ()),
        ("dns:serving", (Name("serving", 443),), ()),
        ("dns:///127.0.0.1:8500", (), ("127.0.0.1:8500",)),
        ("ipv4:127.0.0.2:1,127.0.0.1:2", (), ("127.0.0.2:1", "127.0.0.1:2")),
        ("ipv6:[::1]:1,[::2]:2", (), ("[::1]:1", "[::2]:2")),
        ("a:1,b:2", (Name("a", 1), Name("b", 2)), ()),
        ("a:1, dns:///b:2,10.0.0.1:3", (Name("a", 1), Name("b", 2)), ("10.0.0.1:3",)),
        ("a:1,a:1,10.0.0.1:3,10.0.0.1:3", (Name("a", 1),), ("10.0.0.1:3",)),
    ],
)
def test_a_target_names_servers_and_names(text, names, fixed):
    assert parse_target(text) == Target(names, fixed)
    assert is_target(text)


@pytest.mark.parametrize(
    "text",
    ["xds:///serving", "unix:/run/serving.sock", "unix-abstract:serving", "passthrough:///a:1", "dns://8.8.8.8/serving:8500"],
)
def test_what_grpc_resolves_by_itself_is_left_to_it(text):
    assert parse_target(text) == Target(fixed=(text,))


ALONE = "alone, not in a list: gRPC itself finds the servers of such a target"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "expected host:port or a gRPC target"),
        ("serving:0", "expected host:port or a gRPC target"),
        ("serving:65536", "expected host:port or a gRPC target"),
        ("ipv4:serving:8500", "expected host:port or a gRPC target"),
        ("a:1,b", "expected host:port or a gRPC target between the commas, and 'b' is none"),
        ("a:1,,b:2", "expected host:port or a gRPC target between the commas, and '' is none"),
        ("a:1,xds:///b", f"expected 'xds:///b' {ALONE}"),
        ("unix:/run/a,b:1", f"expected 'unix:/run/a' {ALONE}"),
        ("dns://8.8.8.8/a:1,b:1", f"expected 'dns://8.8.8.8/a:1' {ALONE}"),
    ],
)
def test_what_is_no_target_is_refused_with_what_was_expected(text, told):
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        parse_target(text)
    assert not is_target(text)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("serving:8500", (("serving", 8500),)),
        ("[::1]:8500", (("::1", 8500),)),
        ("a:1,10.0.0.1:2", (("a", 1), ("10.0.0.1", 2))),
        ("xds:///serving", (("xds:///serving", 0),)),
    ],
)
def test_a_target_has_hosts_and_ports(text, addresses):
    assert parse_target(text).addresses() == addresses
