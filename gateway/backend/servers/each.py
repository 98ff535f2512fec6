"""What each model server says by itself, and what each is told: for the rollouts, and for the one status of all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigError
from gateway.backend.servers.server import Server
from gateway.backend.servers.servers import Servers
from gateway.backend.version_policy import parsed
from gateway.deadline import Deadline
from gateway.errors import GatewayError, NotFound
from gateway.inference.signature import ModelRef
from gateway.inference.status import ModelStatus

_PATIENCE_S: Final = 0.5
"""How much longer than the first a server may take to answer, before what it said last counts."""

Reply = TypeVar("Reply")


async def answers(servers: Servers, model: str, deadline: Deadline) -> Mapping[Server, ModelStatus | GatewayError]:
    """What those say of ``model`` that get calls now, or all while there are none. One that is slow is left out.

    A question that is under way is shared, and goes on when nobody waits for it any more: its answer counts when it comes.
    """
    asked = [server for server in servers.members if servers.is_well(server)] or list(servers.members)
    questions = {server.question(model): server for server in asked}
    if not questions:
        return {}
    waiting = set(questions)
    _, waiting = await asyncio.wait(waiting, timeout=deadline.remaining_s(), return_when=asyncio.FIRST_COMPLETED)
    if waiting:
        await asyncio.wait(waiting, timeout=min(_PATIENCE_S, max(0.0, deadline.at_s - time.monotonic())))
    return {server: question.result() for question, server in questions.items() if question.done() and not question.cancelled()}


class Each:
    """Asks and tells each of ``servers``, also those that get no calls. For one event loop."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def clients(self) -> Mapping[str, BackendClient]:
        """A client for each address; none while the target's name cannot be resolved."""
        return {server.address: server.client for server in self._servers.members}

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

    async def _of_each(self, ask: Callable[[BackendClient], Awaitable[Reply]]) -> dict[str, Reply]:
        clients = await self.clients()
        replies = await asyncio.gather(*map(ask, clients.values()))
        return dict(zip(clients, replies, strict=True))
