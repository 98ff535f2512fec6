"""Servers that get no new calls: each is closed when its last call has ended."""

import asyncio
from typing import Final

from gateway.backend.servers.server import Server

_LOOK_S: Final = 0.1
# A call has a deadline of its own, which is an hour away at most (GATEWAY_PREDICT_TIMEOUT_MS).
_LONGEST_CALL_S: Final = 3600.0


class Draining:
    """The servers that were let go. For one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Server] = {}

    def servers(self) -> tuple[Server, ...]:
        """Those that still have calls in flight."""
        return tuple(self._tasks.values())

    def begin(self, server: Server) -> None:
        """``server`` gets no new calls any more."""
        task = asyncio.get_running_loop().create_task(_drain(server), name="backend drain")
        self._tasks[task] = server
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        """Close all; calls in flight find their server away."""
        tasks, servers = list(self._tasks), self.servers()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.close() for server in servers))


async def _drain(server: Server) -> None:
    waited_s = 0.0
    while server.in_flight and waited_s < _LONGEST_CALL_S:
        await asyncio.sleep(_LOOK_S)
        waited_s += _LOOK_S
    await server.close()
