"""Which model servers there are: those that the target names, and those that it named and that cannot be spared yet."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gateway.backend.client import BackendClient
from gateway.backend.servers.draining import Draining
from gateway.backend.servers.resolver import Resolve, Resolver
from gateway.backend.servers.server import Server
from gateway.backend.servers.target import Name, Target
from gateway.serving_tls import ServingTls
from gateway.telemetry.logs import logger

log = logger("backend")

_FIRST_ANSWER_S: Final = 1.0


class Members:
    """The servers of ``target``, each with a connection of its own. For one event loop.

    ``made`` makes a server of an address and its client. ``on_change`` is called when there are others. ``resolve`` looks names
    up, every ``every_s`` seconds.
    """

    def __init__(
        self,
        target: Target,
        tls: ServingTls | None,
        made: Callable[[str, BackendClient], Server],
        on_change: Callable[[], object],
        *,
        resolve: Resolve,
        every_s: float,
    ) -> None:
        self._target = target
        self._tls = tls
        self._made = made
        self._on_change = on_change
        self._resolver = Resolver(target.names, self._note_found, resolve, every_s=every_s) if target.names else None
        self._found: dict[Name, tuple[str, ...]] = {}
        self.draining = Draining()
        self.by_address: dict[str, Server] = {}

    @property
    def is_unresolved(self) -> bool:
        """Whether there are none, because a name has no address."""
        return not self.by_address and self._resolver is not None and self._resolver.has_problem

    def add(self, address: str, client: BackendClient) -> Server:
        """There is a server at ``address``, which ``client`` calls."""
        server = self.by_address[address] = self._made(address, client)
        return server

    def start(self) -> None:
        """Begin to connect and to look names up, on the running event loop."""
        for address in self._target.fixed:
            if address not in self.by_address:
                self.add(address, BackendClient(address, self._tls))
        for server in self.by_address.values():
            server.client.start()
        self._on_change()
        if self._resolver is not None:
            self._resolver.start()

    async def first_answer(self) -> None:
        """Wait until the names were looked up once, for a second at most."""
        if self._resolver is not None:
            await self._resolver.first_answer(_FIRST_ANSWER_S)

    async def close(self) -> None:
        """Close all connections; calls in flight find their server away."""
        if self._resolver is not None:
            await self._resolver.close()
        await asyncio.gather(self.draining.close(), *(server.close() for server in self.by_address.values()))

    def look_soon(self) -> None:
        """A connection has failed: the names may have other addresses."""
        if self._resolver is not None:
            self._resolver.look_soon()

    def let_go(self, is_well: Callable[[Server], bool]) -> None:
        """Let go of servers that no name has any more, once others that are well answer all their models.

        Until then an answer of the DNS may be wrong.
        """
        if len(self._found) < len(self._target.names):
            return
        named = {address for addresses in self._found.values() for address in addresses} | set(self._target.fixed)
        gone = [server for address, server in self.by_address.items() if address not in named]
        stay = [server for address, server in self.by_address.items() if address in named and is_well(server)]
        if not gone or not stay or not _models(gone) <= _models(stay):
            return
        for server in gone:
            del self.by_address[server.address]
            log.info("server.gone", address=server.address, in_flight=server.in_flight)
            self.draining.begin(server)
        self._on_change()

    def _note_found(self, name: Name, addresses: tuple[str, ...]) -> None:
        """These are the addresses of ``name`` now: connect to the new ones."""
        self._found[name] = addresses
        new = [address for address in addresses if address not in self.by_address]
        tls = None if self._tls is None else replace(self._tls, name=self._tls.name or name.host)
        for address in new:
            # http_proxy is for names, which have been looked up already.
            self.add(address, BackendClient(address, tls, by_proxy=False)).client.start()
            log.info("server.found", address=address, host=name.host)
        if new:
            self._on_change()


def _models(servers: Sequence[Server]) -> set[str]:
    """The models that any of them answers."""
    return {status.name for server in servers for status in server.statuses.values() if status.is_ready}
