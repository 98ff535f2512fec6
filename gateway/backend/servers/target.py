"""``GATEWAY_SERVING_TARGET``: the model servers that it names, and the names whose addresses must be looked up.

The forms are those of gRPC (https://grpc.github.io/grpc/core/md_doc_naming.html), and a list of them with commas between.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

EXPECTED: Final = "host:port or a gRPC target"
_GRPC_PORT: Final = 443  # what gRPC takes when a dns:, ipv4: or ipv6: target has none

_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST: Final = r"[^\s:/,\[\]]+|\[[0-9a-fA-F:.]+\]"
_PLAIN: Final = re.compile(rf"(?P<host>{_HOST}):(?P<port>{_PORT})\Z")
_SCHEME: Final = re.compile(rf"(?P<scheme>dns|ipv4|ipv6):/*(?P<host>{_HOST})(?::(?P<port>{_PORT}))?\Z")
# gRPC finds and balances the servers of these by itself. Of dns: only with an authority, the DNS server to be asked.
_OPAQUE: Final = re.compile(r"((unix|unix-abstract|xds|passthrough):/*|dns://[^\s/,]+/+)[^\s/]\S*\Z")


class Name(NamedTuple):
    """A name that may have many addresses, and the port of the servers there."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where the model servers are.

    - ``names``: those whose addresses must be looked up, again and again.
    - ``fixed``: gRPC targets that are one server each. If there is only one, gRPC may find several servers by it.
    """

    names: tuple[Name, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def is_one(self) -> bool:
        """Whether it is one server for ever, as far as can be seen here."""
        return not self.names and len(self.fixed) == 1

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Each host and port that it names; the port is 0 where gRPC alone knows it."""
        found = [(name.host, name.port) for name in self.names]
        for fixed in self.fixed:
            match = _PLAIN.match(fixed)
            found.append((fixed, 0) if match is None else (match["host"].strip("[]"), int(match["port"])))
        return tuple(found)


def parse_target(text: str) -> Target:
    """The target that ``text`` is. Raises ValueError, which says what was expected."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and _OPAQUE.match(text):
        return Target(fixed=(text,))
    names: dict[Name, None] = {}
    fixed: dict[str, None] = {}
    for part in parts:
        if _OPAQUE.match(part):
            raise ValueError(f"expected {part!r} alone, not in a list: gRPC itself finds the servers of such a target")
        found = _place(part)
        if found is None:
            whole = f"expected {EXPECTED}"
            raise ValueError(whole if len(parts) == 1 else f"{whole} between the commas, and {part!r} is none")
        if isinstance(found, Name):
            names[found] = None
        else:
            fixed[found] = None
    return Target(tuple(names), tuple(fixed))


def is_target(text: str) -> bool:
    """Whether ``parse_target`` takes ``text``."""
    try:
        parse_target(text)
    except ValueError:
        return False
    return True


def address_of(host: str, port: int) -> str:
    """The gRPC target of one server: ``10.0.0.1:8500``, ``[::1]:8500``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _place(part: str) -> Name | str | None:
    """What one part of the list names: a name to look up, or the address of a server; None if it is no target."""
    match = _PLAIN.match(part) or _SCHEME.match(part)
    if match is None:
        return None
    host, port = match["host"].strip("[]"), int(match["port"] or _GRPC_PORT)
    is_address = _is_address(host)
    if not is_address and match.groupdict().get("scheme") in ("ipv4", "ipv6"):
        return None
    # localhost is one machine, whose two addresses (127.0.0.1, ::1) gRPC tries by itself.
    return address_of(host, port) if is_address or host == "localhost" else Name(host, port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
