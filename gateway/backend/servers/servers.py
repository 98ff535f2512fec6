"""The model servers behind the target, of which some get a call: those that are connected, well, and have what is called.

One owner for one event loop: predictions, the catalog and the rollouts all have their servers from here.
"""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Final, Literal

from gateway.backend.channel.reasons import NOT_RESOLVED
from gateway.backend.client import BackendClient
from gateway.backend.servers import choice
from gateway.backend.servers.choice import Candidate, Choice
from gateway.backend.servers.ejections import Ejections
from gateway.backend.servers.members import Members
from gateway.backend.servers.resolver import EVERY_S, Resolve, addresses_of
from gateway.backend.servers.server import Server
from gateway.backend.servers.target import Target
from gateway.inference.signature import ModelRef
from gateway.serving_tls import ServingTls
from gateway.telemetry.logs import logger
from gateway.telemetry.server_metrics import ServerMetrics

log = logger("backend")

Balancing = Literal["round_robin", "least_loaded"]

_LOOK_S: Final = 0.25
_MOST_ROTATIONS: Final = 1024
_COUNTS_S: Final = 1.0


class Servers:
    """The servers of ``target``. ``client``: that of its only server, if it was made already.

    - ``timeout_s``: the usual deadline of a call. One that ends with its deadline counts against its server if it had that,
      or a second. ``random``: for the choice.
    - ``resolve`` looks names up, every ``every_s`` seconds.
    - ``alone``: the only server; None if there are several, or none.
    """

    def __init__(
        self,
        target: Target,
        tls: ServingTls | None = None,
        balancing: Balancing = "round_robin",
        *,
        timeout_s: float = 2.0,
        resolve: Resolve = addresses_of,
        every_s: float = EVERY_S,
        random: Random | None = None,
        client: BackendClient | None = None,
    ) -> None:
        self._counts_s = min(_COUNTS_S, 0.9 * timeout_s)
        self._balancing = balancing
        self._random = random or Random()  # noqa: S311 - no secret
        self._members = Members(target, tls, self._made, self._note_members, resolve=resolve, every_s=every_s)
        # Each has turns of its own: with one for all, two models that are called in turn would have a server each.
        self._rotations: dict[tuple[str, int | None], tuple[tuple[Server, ...], Choice]] = {}
        self._metrics = ServerMetrics()
        self._ejections = Ejections(self._metrics.note_ejection)
        self._changed: Callable[[], object] = lambda: None
        self._task: asyncio.Task[None] | None = None
        self.alone: Server | None = None
        if client is not None:
            self._members.add(target.fixed[0], client)

    def on_change(self, call: Callable[[], object]) -> None:
        """Have ``call`` called whenever other servers may be in rotation than before."""
        self._changed = call

    @property
    def members(self) -> tuple[Server, ...]:
        """The servers that may get calls."""
        return tuple(self._members.by_address.values())

    @property
    def is_connected(self) -> bool:
        """Whether any of them is connected."""
        return any(server.is_connected for server in self._members.by_address.values())

    @property
    def problem(self) -> str:
        """Why none is connected, where a setting may be the cause; else empty."""
        if self._members.is_unresolved:
            return NOT_RESOLVED
        if self.alone is not None:
            return self.alone.client.problem
        problems = [server.client.problem for server in self.members]
        return "" if self.is_connected else next(filter(None, problems), "")

    async def reason(self) -> str:
        """Why there is no connection at this moment, as ``problem`` will say."""
        return self.problem if self.alone is None else await self.alone.client.connection.reason()

    @property
    def answered_s(self) -> float:
        """When one of them last answered a call, in seconds of ``time.monotonic``."""
        return max((server.client.answered_s for server in self.members), default=0.0)

    def start(self) -> None:
        """Begin to connect and to look, on the running event loop."""
        self._members.start()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="servers")

    async def first_answer(self) -> None:
        """Wait until the names were looked up once, for a second at most."""
        await self._members.first_answer()

    async def close(self) -> None:
        """Close all connections; calls in flight find their server away."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._show()
        await self._members.close()

    def is_ejected(self, server: Server) -> bool:
        """Whether it is left out for its failures, or because it is silent."""
        return server.address in self._ejections.addresses

    def is_well(self, server: Server) -> bool:
        """Whether it may get calls: it is connected, and not left out."""
        return server.is_connected and not self.is_ejected(server)

    def pick(self, model: ModelRef, but: Server | None = None) -> Server | None:
        """A server for a call of ``model``, another one than ``but`` if there is one; None if there is none at all."""
        if self.alone is not None:
            return self.alone
        key = (model.name, model.version)
        found = self._rotations.get(key)
        if found is None:
            if len(self._rotations) >= _MOST_ROTATIONS:
                self._rotations.clear()
            found = self._rotations[key] = self._rotation(*key), choice.choice_of(self._balancing, self._random)
        servers, choose = found
        if but is not None:
            servers = tuple(server for server in servers if server is not but) or servers
        return choose(servers) if servers else None

    def _rotation(self, model: str, version: int | None) -> tuple[Server, ...]:
        servers = self.members
        candidates = [Candidate(one.is_connected, self.is_ejected(one), one.statuses.get(model)) for one in servers]
        return tuple(servers[place] for place in choice.rotation(candidates, version))

    def _made(self, address: str, client: BackendClient) -> Server:
        self._metrics.begin(address)
        return Server(address, client, self._counts_s, self._note_change, self._note_status)

    def _note_members(self) -> None:
        """There are other servers than before."""
        servers = self.members
        self.alone = servers[0] if len(servers) == 1 else None
        for server in servers:
            server.client.calls_again = self.alone is not None
        self._rotations.clear()
        self._changed()

    def _note_change(self, server: Server) -> None:
        """The connection of ``server``, its health or what it serves is another."""
        if not server.is_connected:
            self._members.look_soon()
        self._rotations.clear()
        self._eject()
        self._changed()

    def _note_status(self) -> None:
        """One of several servers has other versions than before. What the only one has, the one who asked it knows."""
        if self.alone is None:
            self._rotations.clear()
            self._changed()

    def _eject(self) -> None:
        """Find out who is left out now."""
        if self._ejections.renew(self.members):
            self._rotations.clear()
            self._changed()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                now_s = time.monotonic()
                # The only server gets all calls, whatever it does.
                for server in self.members if self.alone is None else ():
                    server.look(now_s)
                self._eject()
                self._members.let_go(self.is_well)
                self._show()
            except Exception:
                log.exception("servers.failed")

    def _show(self) -> None:
        self._metrics.show([*self.members, *self._members.draining.servers()], self.is_well)
