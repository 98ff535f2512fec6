"""The gateway's handlers as shipped, before a model server that answers at once: all that is known here of their wiring."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.instructions.at_once import AtOnce
from benchmarks.instructions.cases import KEPT
from gateway import settings
from gateway.app import Gateway
from gateway.call import Answer, Call, Handler
from gateway.telemetry import logs

# As shipped, but for time, which passes fifty times as fast under callgrind, and for the one model whose answers are kept.
_SETTINGS: Final = {
    "GATEWAY_PREDICT_TIMEOUT_MS": "3600000",
    "GATEWAY_CATALOG_POLL_MS": "60000",
    "GATEWAY_CACHE": f"{KEPT}:1000:3600s",
}


# Where no row can be written: they stay in memory, and the thread that would write them, beside the requests, does nothing.
_NOWHERE: Final = "file:///proc/nowhere/log"


@asynccontextmanager
async def opened(logged: float | None) -> AsyncIterator[Handler]:
    """While open, what answers a prediction request: the route is found, then answered by the edge, as the server has it.

    ``logged``: the part of the requests that the prediction log keeps; None: there is no log.
    """
    log = {} if logged is None else {"GATEWAY_PREDICTION_LOG": _NOWHERE, "GATEWAY_PREDICTION_LOG_SAMPLE": f"{logged:f}"}
    current = settings.settings_from_environment(_SETTINGS | log)
    logs.configure(current.log_level)
    gateway = Gateway(current, client=AtOnce())

    async def answer(call: Call) -> Answer:
        handler = gateway.routes.find(call)
        if handler is None:
            raise BenchError(f"{call.method} {call.path} is no prediction route")
        return await gateway.edge.answer(call, handler)

    await gateway.start()
    try:
        yield answer
    finally:
        await gateway.close()
