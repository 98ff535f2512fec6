"""The addresses behind a gRPC target, as gRPC's own resolvers find them (https://grpc.github.io/grpc/core/md_doc_naming.html)."""

import asyncio
import re
import socket
from typing import Any, Final

_PORT: Final = 443
"""What gRPC takes when a name comes without a port."""

_NAMED: Final = re.compile(r"(?:dns:(?://[^/]*/)?)?(?P<host>\[[^\]]+\]|[^:/\[\]]+)(?::(?P<port>\d+))?\Z")
_LISTED: Final = re.compile(r"(ipv4|ipv6):/*(.+)\Z")


async def addresses_of(target: str) -> tuple[str, ...]:
    """A gRPC target for each address of ``target``, sorted. One that gRPC resolves in another way is its own only address.

    Raises OSError when a name cannot be resolved.
    """
    listed = _LISTED.match(target)
    if listed is not None:
        return tuple(sorted(f"{listed[1]}:{address}" for address in listed[2].split(",")))
    named = _NAMED.match(target)
    if named is None:
        return (target,)
    found = await asyncio.get_running_loop().getaddrinfo(
        named["host"].strip("[]"), int(named["port"] or _PORT), type=socket.SOCK_STREAM
    )
    return tuple(sorted({_target(family, address) for family, _, _, _, address in found}))


def host_of(target: str) -> str:
    """The host that ``target`` names, which is also in the server's certificate; empty if it names none."""
    named = _NAMED.match(target)
    return "" if named is None else named["host"].strip("[]")


def _target(family: int, address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"ipv6:[{host}]:{port}" if family == socket.AF_INET6 else f"ipv4:{host}:{port}"
