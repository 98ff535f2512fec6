"""The gateway's handlers as shipped, before a model server that answers at once: all that is known here of their wiring."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.errors import BenchError
from gateway.call import Handler


@asynccontextmanager
async def opened() -> AsyncIterator[Handler]:
    """While open, what answers a prediction request on the running loop. Raises BenchError: there is no such way in yet."""
    raise BenchError("the gateway has no handlers that answer a Call yet")
    yield
