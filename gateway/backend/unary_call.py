"""A gRPC call that can be waited for, and that a caller which is cancelled takes back from the server."""

import asyncio
from typing import Any, TypeVar

from grpc import aio

Response = TypeVar("Response")


async def reply(call: aio.UnaryUnaryCall[Any, Response]) -> Response:
    """The reply to ``call``. When the task that waits is cancelled, so is the call.

    A task that awaits the call itself must not be cancelled: grpc.aio then never frees the call's operations, its request among
    them (https://github.com/grpc/grpc/issues/43360). So this awaits a future of its own until the call is done.

    Raises:
        grpc.aio.AioRpcError: the server answered with an error, or did not answer in time.
        CancelledError: this task was cancelled, or the channel was closed.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set_done(_: object) -> None:
        if not done.done():
            done.set_result(None)

    call.add_done_callback(set_done)
    try:
        await done
    except asyncio.CancelledError:
        _take_back(call)
        raise
    return await call


def _take_back(call: Any) -> None:
    """Cancel the call, but not the task in which grpc.aio waits for it, as ``call.cancel()`` would: that is what leaks."""
    if not call.done():
        call._cython_call.cancel("the caller was cancelled")
