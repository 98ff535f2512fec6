"""Every model server behind the target, each by a connection of its own: what one of them loads, another may not have.

A request goes to any of them; what a rollout needs to know, and the reload of their configuration, concern each.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from gateway.backend.channel.addresses import addresses_of, host_of
from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigError
from gateway.backend.version_policy import parsed
from gateway.deadline import Deadline
from gateway.errors import GatewayError, NotFound
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus
from gateway.serving_tls import ServingTls
from gateway.telemetry.logs import logger

log = logger("backend")

_RESOLVE_EVERY_S: Final = 3.0
_IDLE_S: Final = 30.0

Reply = TypeVar("Reply")
Resolve: TypeAlias = Callable[[str], Awaitable[tuple[str, ...]]]


class Replicas:
    """The servers behind ``target``, looked up every ``resolve_every_s`` for as long as somebody asks. For one event loop.

    Connections that nobody has used for ``idle_s`` are closed by ``close_unused``.

    With ``tls`` the certificate's name is that of the settings or else the target's host, whatever a server's address is.
    """

    def __init__(
        self,
        target: str,
        tls: ServingTls | None = None,
        resolve: Resolve = addresses_of,
        *,
        resolve_every_s: float = _RESOLVE_EVERY_S,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._target = target
        self._resolve_every_s = resolve_every_s
        self._idle_s = idle_s
        self._tls = None if tls is None else replace(tls, name=tls.name or host_of(target))
        self._resolve = resolve
        self._clients: dict[str, BackendClient] = {}
        self._looked_s = -math.inf
        self._looking = asyncio.Lock()
        self._used_s = 0.0
        self._calls = 0
        self._problem = ""

    async def clients(self) -> Mapping[str, BackendClient]:
        """A client for each address; none while the target's name cannot be resolved."""
        self._used_s = time.monotonic()
        async with self._looking:
            if time.monotonic() - self._looked_s >= self._resolve_every_s:
                await self._look()
        return dict(self._clients)

    async def statuses(self, model: str, within_s: float) -> dict[str, ModelStatus | GatewayError]:
        """What each server says of ``model`` within so many seconds, or why it did not. One that has none says so."""

        async def ask(client: BackendClient) -> ModelStatus | GatewayError:
            try:
                return await client.status(ModelRef(model), Deadline.after(within_s))
            except NotFound as error:
                return ModelStatus(model, problem=error.message)
            except GatewayError as error:
                return error

        return await self._of_each(ask)

    async def reload(self, config: str, within_s: float) -> dict[str, str]:
        """Tell each server to serve what ``config`` asks for, and wait for that: "" where it does, or else why not.

        ``config`` is the whole model config file: a model that is not in it is unloaded. Raises ModelConfigError.
        """
        message = parsed(config)
        if not message.HasField("model_config_list"):
            raise ModelConfigError("the model config file holds no model_config_list")

        async def tell(client: BackendClient) -> str:
            try:
                await client.reload(message, Deadline.after(within_s))
            except GatewayError as error:
                return f"{error.code}: {error.message}"
            return ""

        return await self._of_each(tell)

    async def close_unused(self) -> None:
        """Close the connections if nobody has asked for some time."""
        if self._clients and not self._calls and time.monotonic() - self._used_s > self._idle_s:
            await self.close()

    async def close(self) -> None:
        """Close the connections; calls in flight find their server away."""
        clients, self._clients = self._clients, {}
        self._looked_s = -math.inf
        await asyncio.gather(*(client.close() for client in clients.values()))

    async def _of_each(self, ask: Callable[[BackendClient], Awaitable[Reply]]) -> dict[str, Reply]:
        clients = await self.clients()
        self._calls += 1
        try:
            replies = await asyncio.gather(*map(ask, clients.values()))
        finally:
            self._calls -= 1
            self._used_s = time.monotonic()
        return dict(zip(clients, replies, strict=True))

    async def _look(self) -> None:
        """Have a client for each address that there is now. Those of before stay while the name cannot be resolved."""
        self._looked_s = time.monotonic()
        try:
            addresses = await self._resolve(self._target)
        except (OSError, UnicodeError) as error:
            if str(error) != self._problem:
                log.warning("backend.not_resolved", target=self._target, reason=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        for address in set(addresses) - set(self._clients):
            self._clients[address] = client = BackendClient(address, self._tls)
            client.start()
        gone = [self._clients.pop(address) for address in set(self._clients) - set(addresses)]
        await asyncio.gather(*(client.close() for client in gone))
