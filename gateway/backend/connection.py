"""The gRPC channel to the model server, and whether it is connected.

A channel belongs to the process and the event loop that opened it: open it after the fork.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from grpc import ChannelConnectivity, aio

from gateway.telemetry.logs import logger

log = logger("backend")

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The client retries by itself: once, before the request's deadline.
    ("grpc.enable_retries", 0),
    # A server that comes back is found at once, at a new address within a second. (gRPC's "minimum" is how long one attempt to
    # connect may take.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # A server that hangs, or whose host is lost, is noticed too. The catalog's polls keep data flowing between these pings, so
    # that the server does not take them for abuse.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    # Several replicas behind one name share the calls; one HTTP/2 connection alone would stay with one of them.
    ("grpc.lb_policy_name", "round_robin"),
)

_CLOSE_WITHIN_S: Final = 1.0


class Connection:
    """The connection to ``target`` (``host:port`` or a gRPC target); it is opened again whenever it is lost.

    ``on_change`` is called whenever ``is_up`` has changed.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._channel: aio.Channel | None = None
        self._following: asyncio.Task[None] | None = None
        self.is_up = False
        self.on_change: Callable[[], object] = lambda: None

    def open(self) -> aio.Channel:
        """The channel, opened on the running event loop; it begins to connect."""
        self._channel = aio.insecure_channel(self._target, options=_OPTIONS)
        self._following = asyncio.get_running_loop().create_task(self._follow(self._channel), name="backend connection")
        return self._channel

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        if self._channel is not None and self._following is not None:
            await self._channel.close()
            # That ends the task by gRPC's own event, which would be left for a closed event loop if the task were cancelled.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self, channel: aio.Channel) -> None:
        while True:
            state = channel.get_state(try_to_connect=True)
            # Other states, such as CONNECTING, say nothing yet.
            if state is (ChannelConnectivity.TRANSIENT_FAILURE if self.is_up else ChannelConnectivity.READY):
                self._change()
            await channel.wait_for_state_change(state)

    def _change(self) -> None:
        self.is_up = not self.is_up
        if self.is_up:
            log.info("backend.connected", target=self._target)
        else:
            log.warning("backend.disconnected", target=self._target)
        self.on_change()
