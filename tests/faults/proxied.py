"""A scene with a TCP proxy between gateway and model server, which delays, cuts or replaces what goes through it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.scene import ModelServer, Scene, started
from tests.waiting import free_port

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes connections to ``host``:``port`` on to ``target_port``. A test sets what it does to them.

    ``delay_s`` is added to everything that the server sends; while ``is_stuck``, nothing passes in either direction;
    ``garbage`` is sent instead of passing a new connection on; after ``cut_after`` more bytes of the server's every connection
    is reset.
    """

    def __init__(self, target_port: int, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port or free_port()
        self.delay_s = 0.0
        self.is_stuck = False
        self.garbage = b""
        self.cut_after: int | None = None
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self._call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        return len(self._writers)

    def open(self) -> None:
        self._call(self._open())

    def close(self) -> None:
        """Refuse new connections, and reset those that there are."""
        self._call(self._close())

    def cut(self) -> None:
        """Reset every connection."""
        self._call(self._cut())

    def _call(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self.host, self.port)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> None:
        self.cut_after = None
        for writer in list(self._writers):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            if self.garbage:
                writer.write(self.garbage)
                await reader.read()
            else:
                await self._pass_on(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        ways = [asyncio.create_task(self._copy(reader, their_writer, is_answer=False))]
        ways.append(asyncio.create_task(self._copy(their_reader, writer, is_answer=True)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            their_writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool) -> None:
        while data := await reader.read(65536):
            if is_answer and self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.is_stuck:
                await asyncio.sleep(0.02)
            if is_answer and self.cut_after is not None:
                data = data[: self.cut_after]
                self.cut_after -= len(data)
            writer.write(data)
            await writer.drain()
            if is_answer and self.cut_after == 0:
                await self._cut()


class Proxied(Scene):
    """Gateway, ``proxy``, model server."""

    proxy: Proxy


@contextmanager
def proxied(server: ModelServer, folder: Path) -> Iterator[Proxied]:
    with Proxy(server.port) as proxy:
        scene = Proxied(server, folder, serving_target=f"127.0.0.1:{proxy.port}")
        scene.proxy = proxy
        with started(scene):
            yield scene
