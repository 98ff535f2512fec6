"""Whose request it is when it has no key: the client's address, as far as it can be trusted, and the network that counts."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_CACHED: Final = 8192
_IPV6_PREFIX: Final = 64
_LONGEST: Final = 64  # letters of an address, with its zone and port
_UNKNOWN: Final = "unknown"
# An IPv6 address is in brackets, with or without a port; one without brackets is all address.
_WITH_PORT: Final = re.compile(r"\[([^][]+)\](?::[0-9]{1,5})?|([^:]+):[0-9]{1,5}")


def parse_proxies(text: str) -> tuple[Network, ...]:
    """The networks that ``text`` lists, with commas between them, such as ``10.0.0.0/8, ::1``; none if it is empty.

    Raises:
        ValueError: it is not such a list.
    """
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def client_of(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> str:
    """The address of the client whose connection is from ``peer``, with the X-Forwarded-For header ``forwarded_for``.

    The header counts only as far as it was written by ``proxies``: its last address that is none of theirs is the client's. An
    address may have a port (``1.2.3.4:5678``, ``[2001:db8::1]:443``). If it is none, ``peer`` counts.
    """
    if not proxies or not forwarded_for or not _is_of(peer, proxies):
        return peer
    client = peer
    for hop in reversed(forwarded_for.split(",")):
        client = _without_port(hop.strip())
        if not _is_of(client, proxies):
            break
    return client if _parse(client) else peer


def scheme_of(peer: str, scheme: str, forwarded_proto: str, proxies: Sequence[Network]) -> str:
    """``https`` or ``http``, by which the client asked; X-Forwarded-Proto counts if one of ``proxies`` is ``peer``."""
    told = forwarded_proto.rpartition(",")[2].strip().lower()
    return told if told in ("http", "https") and _is_of(peer, proxies) else scheme


@lru_cache(_CACHED)
def network_of(address: str) -> str:
    """What is counted for ``address``: an IPv4 address, or the /64 of an IPv6 one: a client has all of that."""
    parsed = _parse(address)
    if parsed is None:
        return _UNKNOWN
    if isinstance(parsed, IPv4Address):
        return f"{parsed}/32"
    return str(IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))


def _network(text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is none") from error
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{text!r} is an address in {network}, and no network")
    return network


def _without_port(hop: str) -> str:
    with_port = _WITH_PORT.fullmatch(hop) if len(hop) <= _LONGEST else None
    return hop if with_port is None else with_port[1] or with_port[2]


def _is_of(address: str, proxies: Sequence[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in proxies)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    # A client may write what it likes into X-Forwarded-For; what is too long is not kept.
    return _parsed(address) if len(address) <= _LONGEST else None


@lru_cache(_CACHED)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:1.2.3.4 is how a socket of both kinds tells of an IPv4 client.
    return getattr(parsed, "ipv4_mapped", None) or parsed
