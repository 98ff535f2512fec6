"""The gateway's handlers as shipped, before a model server that answers at once: all that is known here of their wiring."""

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.instructions.at_once import AtOnce
from benchmarks.instructions.cases import KEPT, KEYS
from gateway import settings
from gateway.access import key_text
from gateway.access.key import EVERY_MODEL, Key
from gateway.app import Gateway
from gateway.call import Answer, Call, Handler
from gateway.telemetry import logs
from gateway.tracing.exporter import Exporter
from gateway.tracing.finished import FinishedSpan
from gateway.tracing.sampler import Sampler
from gateway.tracing.tracer import Tracer

# As shipped, but for time, which passes fifty times as fast under callgrind, and for the one model whose answers are kept.
_SETTINGS: Final = {
    "GATEWAY_PREDICT_TIMEOUT_MS": "3600000",
    "GATEWAY_CATALOG_POLL_MS": "60000",
    "GATEWAY_CACHE": f"{KEPT}:1000:3600s",
}
_KEYS_FILE: Final = "keys.jsonl"

Keys = Mapping[str, str]
"""The text of each key, by its name."""


# Where no row can be written: they stay in memory, and the thread that would write them, beside the requests, does nothing.
_NOWHERE: Final = "file:///proc/nowhere/log"


class Stuck:
    """Where no span gets to: so the thread that would make them, beside the requests, does nothing."""

    name = "nowhere"

    def encode(self, span: FinishedSpan) -> bytes:
        """Return nothing, because nothing is written."""
        return b""

    def write(self, spans: Sequence[bytes]) -> str | None:
        """Wait for ever."""
        threading.Event().wait()
        return self.name

    def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def opened(logged: float | None, traced: float | None) -> AsyncIterator[tuple[Handler, Keys]]:
    """While open, what answers a prediction request: the route is found, then answered by the edge, as the server has it.

    A call with ``X-API-Key`` goes to a gateway that asks for keys, any other one to a gateway that does not.
    ``logged``: the part of the requests that the prediction log keeps; ``traced``: that is traced; None: there is no such part.
    """
    log = {} if logged is None else {"GATEWAY_PREDICTION_LOG": _NOWHERE, "GATEWAY_PREDICTION_LOG_SAMPLE": f"{logged:f}"}
    with TemporaryDirectory() as folder:
        path = Path(folder) / _KEYS_FILE
        keys = _write_keys(path)
        guarded = {**log, "GATEWAY_KEYS_FILE": str(path)}
        async with _gateway(log, traced) as open_answer, _gateway(guarded, traced) as guarded_answer:

            async def answer(call: Call) -> Answer:
                return await (guarded_answer if "x-api-key" in call.headers else open_answer)(call)

            yield answer, keys


@asynccontextmanager
async def _gateway(changes: Mapping[str, str], traced: float | None) -> AsyncIterator[Handler]:
    current = settings.settings_from_environment({**_SETTINGS, **changes})
    logs.configure(current.log_level)
    traces = None if traced is None else Tracer(Exporter(Stuck(), "127.0.0.1", 1), Sampler(traced), 0.0)
    gateway = Gateway(current, client=AtOnce(), traces=traces)

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


def _write_keys(path: Path) -> Keys:
    texts, lines = {}, []
    for name, limits in KEYS.items():
        new = key_text.new()
        texts[name] = new.text
        key = Key(
            id=new.id,
            name=name.replace(" ", "-"),
            sha256=new.sha256,
            scopes=("predict",),
            models=EVERY_MODEL,
            limits=limits,
            created=datetime.now(UTC),
        )
        lines.append(msgspec.json.encode(key) + b"\n")
    path.touch(mode=0o600)
    path.write_bytes(b"".join(lines))
    return texts
