"""One gRPC channel to the model server, from its opening to its end, and whether it is connected."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from grpc import ChannelConnectivity, aio

_CLOSE_WITHIN_S: Final = 1.0
_ASK_WITHIN_S: Final = 1.0
# Any method will do: the question is only put while there is no connection.
_METHOD: Final = "/tensorflow.serving.ModelService/GetModelStatus"


class Link:
    """A channel that connects by itself whenever it has no connection. For one event loop, which runs.

    ``on_change`` is called with the link whenever its state may have changed. ``is_ready``: it is connected at this moment.
    ``is_up``: it is, or it was and is about to connect anew. ``has_failed``: it could not connect, and goes on trying.
    """

    def __init__(self, channel: aio.Channel, on_change: Callable[["Link"], object]) -> None:
        self.channel = channel
        self.is_ready = False
        self.is_up = False
        self.has_failed = False
        self._on_change = on_change
        self._following = asyncio.get_running_loop().create_task(self._follow(), name="backend connection")

    async def failure(self) -> str:
        """gRPC's text for why it could not connect; empty if it could, or if it is still connecting."""
        if not self.has_failed:
            return ""
        try:
            # A call that finds no connection fails at once with the reason.
            question: aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(_METHOD, None, None)
            await question(b"", timeout=_ASK_WITHIN_S)
        except aio.AioRpcError as error:
            return (error.details() or "") if self.has_failed else ""
        return ""

    async def close(self, grace_s: float | None = None) -> None:
        """Close the channel. Calls in flight may take ``grace_s`` more seconds, and are cancelled then (None: at once)."""
        await self.channel.close(grace_s)
        # That ends the task by gRPC's own event, which would be left for a closed event loop if the task were cancelled.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            state = self.channel.get_state(try_to_connect=True)
            self.is_ready = state is ChannelConnectivity.READY
            # Other states, such as CONNECTING, say nothing yet.
            if self.is_ready or state is ChannelConnectivity.TRANSIENT_FAILURE:
                self.is_up, self.has_failed = self.is_ready, not self.is_ready
            self._on_change(self)
            await self.channel.wait_for_state_change(state)
            if self.is_ready:
                # The connection was lost, even if there is another one by now.
                self.is_ready = False
                self._on_change(self)
