"""The gunicorn worker: one event loop, its clients, its heartbeat, and an orderly end.

On SIGTERM a worker first says that it is not ready, so that load balancers that ask ``/readyz`` send no more requests. Then it
stops accepting, answers what is in flight and exits. A worker whose parent has died does the same by itself.
"""

import asyncio
import gc
import logging
import mmap
import os
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Final, Protocol, TypeAlias

import uvloop
from gunicorn.workers.base import Worker

from gateway.call import Answer, Call
from gateway.errors import GatewayError
from gateway.server.acceptor import Acceptor
from gateway.server.connections import Connections
from gateway.server.http import HttpProtocol
from gateway.server.limits import Limits
from gateway.server.process import give_large_blocks_back
from gateway.server.tls import CertificateFiles, Renewal
from gateway.telemetry.metrics import note_certificate
from gateway.telemetry.process import ProcessMetrics

log = logging.getLogger("gateway.server")

_HEARTBEAT_S: Final = 1.0
_CLOSE_WITHIN_S: Final = 8.0  # the prediction log alone may take 5 to write what it has
_GARBAGE_THRESHOLD: Final = 10_000  # objects more than there were

IsDraining: TypeAlias = Callable[[], bool]


class Parts(Protocol):
    """What answers the requests of one worker. It is made after the fork, and lives on the worker's event loop."""

    async def front_answer(self, call: Call, /) -> Answer:
        """The answer to a whole request; it raises nothing."""

    def refuse(self, call: Call, error: GatewayError, /) -> Answer:
        """The answer to a request that the server refuses, of which the body and more may be missing."""

    async def start(self) -> None:
        """Begin to work; the loop runs."""

    async def close(self) -> None:
        """End the work; the loop runs for the last time."""


MakeParts: TypeAlias = Callable[[IsDraining], Parts]
"""Makes the parts of a worker. The argument says whether the worker has been told to stop."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the server is told.

    - ``workers``: how many processes; 0 for one for every two cores.
    - ``drain_delay_s``: how long a worker that is told to stop goes on accepting, as not ready.
    - ``graceful_timeout_s``: how long what is in flight may take then.
    - ``ignores_hangup``: whether SIGHUP does nothing; otherwise the workers are replaced by new ones then.
    """

    host: str
    port: int
    workers: int
    limits: Limits
    drain_delay_s: float
    graceful_timeout_s: int
    log_level: str = "INFO"
    ignores_hangup: bool = False
    tls: CertificateFiles | None = None


class LoopWorker(Worker):  # type: ignore[misc]
    """A worker that answers all its clients on one event loop. ``configure`` is called after the fork."""

    # gunicorn would give SIGHUP its default meaning, the end of the process.
    SIGNALS = tuple(number for number in Worker.SIGNALS if number != signal.SIGHUP)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Seen by the parent too, which made this before the fork.
        self._told = mmap.mmap(-1, 1)

    @property
    def was_told_to_stop(self) -> bool:
        """Whether the process was told to stop, asked in it or in its parent."""
        return self._told[0] == 1

    def configure(self, config: ServerConfig, max_connections: int, make_parts: MakeParts, pending_signals: Any) -> None:
        """Take the configuration, and the queue of signals that came before this process was a worker."""
        self._config = config
        self._max_connections = max_connections
        self._make_parts = make_parts
        self._pending_signals = pending_signals
        self._is_draining = False
        self._told_to_stop = asyncio.Event()
        self._delay_ends = asyncio.Event()
        self._is_in_a_hurry = False

    def init_signals(self) -> None:
        """Listen to signals. Ctrl-C and SIGHUP of a terminal go to the arbiter too, which tells its workers what to do."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The new process has had the arbiter's handlers until now.
        while not self._pending_signals.empty():
            if self._pending_signals.get_nowait() in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                self._begin_to_stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM, before the loop runs."""
        self._begin_to_stop()

    def load_wsgi(self) -> None:
        """Make what answers the requests, and start it. An error here ends the gateway, and is not tried again."""
        give_large_blocks_back()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._parts = self._make_parts(lambda: self._is_draining)
        self._tls: ssl.SSLContext | None = self._config.tls.context() if self._config.tls else None
        self._runner.run(self._parts.start())
        # What is there now stays: a collection that looks through all of it would stop every request for some 50 ms.
        gc.collect()
        gc.freeze()
        # A request leaves no cycles. Those in flight are more than the usual 700 objects, which would be looked through with
        # every tenth request.
        gc.set_threshold(_GARBAGE_THRESHOLD)

    def run(self) -> None:
        """Serve until told to stop."""
        with self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        loop, config, parts = asyncio.get_running_loop(), self._config, self._parts
        loop.set_exception_handler(_handle_exception)
        loop.add_signal_handler(signal.SIGTERM, self._begin_to_stop)
        loop.add_signal_handler(signal.SIGQUIT, self._stop_at_once)
        connections = Connections(parts.front_answer, parts.refuse, config.limits, lambda: self._is_draining)
        listeners = [listener.sock for listener in self.sockets]
        protocol = partial(HttpProtocol, connections, loop)
        acceptor = Acceptor(listeners, connections, protocol, self._max_connections, self._tls)
        tasks = [loop.create_task(self._beat()), loop.create_task(connections.watch())]
        if config.tls is not None and self._tls is not None:
            tasks.append(loop.create_task(Renewal(config.tls, self._tls, note_certificate).watch()))
        try:
            acceptor.start()
            await self._told_to_stop.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._delay_ends.wait(), config.drain_delay_s)
            await acceptor.close()
            await connections.drain(config.graceful_timeout_s, lambda: self._is_in_a_hurry)
        finally:
            for task in tasks:
                task.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(parts.close(), _CLOSE_WITHIN_S)

    async def _beat(self) -> None:
        """Tell the arbiter that the worker lives, and notice when the arbiter does not."""
        used = ProcessMetrics()
        while True:
            self.notify()
            used.note()
            if os.getppid() != self.ppid and not self._is_draining:
                self.log.warning("the parent process has died: the worker stops")
                self._begin_to_stop()
            await asyncio.sleep(_HEARTBEAT_S)

    def _begin_to_stop(self) -> None:
        """Say that the worker is not ready, and stop after a delay. A second time ends the delay."""
        if self._is_draining:
            self._delay_ends.set()
        self._is_draining = True
        self._told[0] = 1
        self.alive = False
        self._told_to_stop.set()

    def _stop_at_once(self) -> None:
        self._begin_to_stop()
        self._delay_ends.set()
        self._is_in_a_hurry = True


def _handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop calls for an error that nobody awaits. Of a connection that finds no memory it has closed the transport."""
    if isinstance(context.get("exception"), MemoryError):
        log.error("a connection was closed, because there is not enough memory for what came")
    else:
        loop.default_exception_handler(context)
