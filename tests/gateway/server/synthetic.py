"""A small application behind the real server. ``python -m tests.gateway.server.synthetic JSON`` serves it under gunicorn."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.call import Answer, Call
from gateway.errors import GatewayError
from gateway.server.gunicorn_app import serve
from gateway.server.limits import Limits
from gateway.server.tls import CertificateFiles
from gateway.server.worker import ServerConfig

LARGE = 3_000_000
LONG = 300_000
JSON = ("Content-Type", "application/json")
MAX_BODY_BYTES = 2000


def told(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(document).encode(), [JSON, *headers])


def seen(call: Call) -> dict[str, object]:
    """All that the server says of a request."""
    names = ("method", "path", "query", "scheme", "client")
    return {name: getattr(call, name) for name in names} | {
        "headers": dict(call.headers),
        "body": call.body.decode("latin-1"),
    }


def refuse(call: Call, error: GatewayError) -> Answer:
    headers = []
    if error.http_status != 400:  # how much of a malformed request was read depends on how it came
        headers.append(("X-Path", call.path))
    if error.setting is not None:
        headers.append(("X-Setting", f"{error.setting.variable}={error.setting.value}"))
    return told(error.http_status, {"error": error.message}, *headers)


class Application:
    """``waiting`` and ``cancelled`` are the paths of requests under /wait that are in work, and of those that were given up."""

    def __init__(self, is_draining: Callable[[], bool] = lambda: False) -> None:
        self.is_draining = is_draining
        self.waiting: list[str] = []
        self.cancelled: list[str] = []
        self.go_on = asyncio.Event()

    async def front_answer(self, call: Call) -> Answer:
        answer = await self.answer(call)
        if "x-request-id" in call.headers:
            answer.headers.append(("X-Request-Id", call.headers["x-request-id"]))
        return answer

    async def answer(self, call: Call) -> Answer:  # noqa: PLR0911, PLR0912 - a route for each
        path = call.path
        if path == "/healthz":
            return told(200, {}) if call.method in ("GET", "HEAD") else told(405, {})
        if path.endswith(":predict") or path == "/predict":
            return predicted(call)
        if path == "/echo":
            return told(200, seen(call))
        if path == "/large":
            return Answer(200, b"x" * int(call.query or LARGE))
        if path == "/long":
            return Answer(200, b"x" * LONG)
        if path == "/nocontent":
            return Answer(204, b"")
        if path == "/readyz":
            return told(503 if self.is_draining() else 200, {})
        if path == "/slow":
            await asyncio.sleep(float(call.query))
            return told(200, "at last")
        if path.startswith("/wait"):
            return await self._wait(path)
        if path == "/fail":
            raise RuntimeError("the application failed")
        if path == "/no-bytes":
            return Answer(200, "text")  # type: ignore[arg-type]
        if path == "/cancelled":
            raise asyncio.CancelledError
        if path == "/bad-header":
            return told(200, {}, ("X-A", "1\r\nX-Evil: 1"))
        return told(404, {})

    async def _wait(self, path: str) -> Answer:
        self.waiting.append(path)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.append(path)
            raise
        finally:
            self.waiting.remove(path)
        return told(200, path)

    refuse = staticmethod(refuse)

    async def start(self) -> None:
        self.go_on = asyncio.Event()

    async def close(self) -> None:
        logging.getLogger("synthetic").warning("the parts are closed")


def predicted(call: Call) -> Answer:
    """200 for a JSON object in a POST, with what it holds."""
    if call.method != "POST":
        return told(405, {})
    try:
        document = json.loads(call.body)
    except ValueError:
        return told(400, {})
    return told(200, document) if isinstance(document, dict) else told(400, {})


def begin_slowly(seconds: float) -> None:
    """A new process that takes a moment before it is a worker that listens to signals."""
    print("a worker has begun", flush=True)
    time.sleep(seconds)


def main() -> None:
    values = {"host": "127.0.0.1", "workers": 1, "drain_delay_s": 0.0, "graceful_timeout_s": 20, "log_level": "INFO"}
    values |= json.loads(sys.argv[1])
    logging.basicConfig(format="%(message)s")
    tls = values.pop("tls", None)
    limits = Limits(MAX_BODY_BYTES, values.pop("read_timeout_ms", 2000), values.pop("max_in_flight", 512))
    files = CertificateFiles(*map(Path, tls)) if tls else None
    slow_fork_s = values.pop("slow_fork_s", 0.0)
    os.register_at_fork(after_in_child=lambda: begin_slowly(slow_fork_s))
    dead = logging.getLogger("synthetic")
    serve(ServerConfig(**values, limits=limits, tls=files), Application, lambda pid: dead.warning("worker %d died", pid))


if __name__ == "__main__":
    main()
