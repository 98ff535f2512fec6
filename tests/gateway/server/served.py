"""The real protocol on a real socket, its event loop in a thread of the test; and the real worker in a process."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from gateway.server.acceptor import Acceptor
from gateway.server.connections import Connections
from gateway.server.http import HttpProtocol
from gateway.server.limits import Limits
from tests.gateway.server.http_case import PATIENCE_S
from tests.gateway.server.synthetic import MAX_BODY_BYTES, Application
from tests.waiting import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
LIMITS = Limits(max_body_bytes=MAX_BODY_BYTES, read_timeout_ms=int(PATIENCE_S * 1000), max_in_flight=512)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Served:
    """Serves ``application`` on ``port`` until ``close``; a context manager."""

    def __init__(
        self,
        limits: Limits = LIMITS,
        max_connections: int = 1000,
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self.application = Application()
        self.is_draining = False
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.run(self._start(limits, max_connections, tls))

    async def _start(self, limits: Limits, max_connections: int, tls: ssl.SSLContext | None) -> None:
        application, loop = self.application, asyncio.get_running_loop()
        self.connections = Connections(application.front_answer, application.refuse, limits, lambda: self.is_draining)
        self.acceptor = Acceptor(
            [self.listener], self.connections, lambda: HttpProtocol(self.connections, loop), max_connections, tls
        )
        self.acceptor.start()
        self._watching = loop.create_task(self.connections.watch())

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``coroutine``, which runs on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` on the server's loop."""
        self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        async def end() -> None:
            self._watching.cancel()
            await self.acceptor.close()
            await self.connections.abort()

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Server:
    """The synthetic application under gunicorn, in processes of its own."""

    def __init__(self, folder: Path, **config: object) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.gateway.server.synthetic", json.dumps({"port": self.port, **config})],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        wait_for(self._listens_or_is_dead, 30)
        assert self.process.poll() is None, self.log.read_text()

    def _listens_or_is_dead(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return self.process.poll() is not None
        return True

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


def at_a_time(number: int, work: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    """``work`` for each of ``items``, in order, ``number`` at a time."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, items))
