"""One channel: which changes of its state are told."""

import asyncio

from grpc import ChannelConnectivity

from gateway.backend.channel.link import Link
from tests.event_loop import on_loop


class ScriptedChannel:
    """A channel that has each of ``states`` in turn, and the last one for good."""

    def __init__(self, *states: ChannelConnectivity) -> None:
        self._states = list(states)
        self._closed = asyncio.Event()

    def get_state(self, try_to_connect: bool) -> ChannelConnectivity:
        assert try_to_connect
        return self._states.pop(0)

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        if not self._states:
            await self._closed.wait()
            raise asyncio.CancelledError

    async def close(self, grace: float | None) -> None:
        self._closed.set()


async def told_by(*states: ChannelConnectivity) -> list[tuple[bool, bool]]:
    """``is_ready`` and ``is_up`` at each call of ``on_change``."""
    told: list[tuple[bool, bool]] = []
    link = Link(ScriptedChannel(*states), lambda link: told.append((link.is_ready, link.is_up)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await link.close()
    return told


@on_loop
async def test_a_connection_that_is_lost_and_there_again_at_once_was_lost():
    """A server that ends and starts within a millisecond shows READY twice, and nothing between."""
    ready = ChannelConnectivity.READY
    assert await told_by(ready, ready) == [(True, True), (False, True), (True, True)]


@on_loop
async def test_a_connection_that_fails_is_down():
    states = (ChannelConnectivity.CONNECTING, ChannelConnectivity.READY, ChannelConnectivity.TRANSIENT_FAILURE)
    assert await told_by(*states) == [(False, False), (True, True), (False, True), (False, False)]
