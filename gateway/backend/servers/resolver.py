"""Looks up the addresses of names, again and again. An answer that is empty, an error or silence takes no address away.

``getaddrinfo`` blocks, for minutes if the DNS server is silent. So each name has one thread at most, which a process does not
wait for when it ends.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from gateway.backend.servers.target import Name, address_of
from gateway.telemetry.logs import logger

log = logger("backend")

EVERY_S: Final = 2.0
_LEAST_S: Final = 0.5  # between two questions
_WITHIN_S: Final = 2.0

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""Host and port -> the gRPC targets of its addresses. It may block, and raises OSError or UnicodeError."""


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """The addresses that the system's resolver knows of ``host``, as gRPC targets. It blocks. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(sorted({address_of(str(address[0]), port) for _, _, _, _, address in found}))


class Resolver:
    """The task that asks, every ``every_s`` seconds. ``use`` is called with a host and its addresses after each good answer.

    ``within_s``: how long an answer may take. For one event loop.
    """

    def __init__(
        self,
        names: Sequence[Name],
        use: Callable[[Name, tuple[str, ...]], object],
        resolve: Resolve = addresses_of,
        *,
        every_s: float = EVERY_S,
        within_s: float = _WITHIN_S,
    ) -> None:
        self._questions = [_Question(name, resolve) for name in names]
        self._use = use
        self._every_s = every_s
        self._within_s = within_s
        self._is_due = asyncio.Event()
        self._has_asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._problems: dict[Name, str] = {}

    @property
    def has_problem(self) -> bool:
        """Whether the last answer for a name was none."""
        return bool(self._problems)

    def start(self) -> None:
        """Begin to ask, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="resolver")

    def look_soon(self) -> None:
        """Ask without waiting for the interval to end, but not more than twice a second."""
        self._is_due.set()

    async def first_answer(self, within_s: float) -> None:
        """Wait until each name was asked for once, ``within_s`` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._has_asked.wait()

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _follow(self) -> None:
        while True:
            self._is_due.clear()
            await asyncio.gather(*(self._ask(question) for question in self._questions))
            self._has_asked.set()
            await asyncio.sleep(min(_LEAST_S, self._every_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._every_s - _LEAST_S)):
                    await self._is_due.wait()

    async def _ask(self, question: "_Question") -> None:
        found = await question.answer(self._within_s)
        name = question.name
        if isinstance(found, str):
            if name not in self._problems:
                log.warning("backend.not_resolved", host=name.host, reason=found, consequence="its addresses stay as they are")
            self._problems[name] = found
            return
        if self._problems.pop(name, None) is not None:
            log.info("backend.resolved", host=name.host, addresses=found)
        self._use(name, found)


class _Question:
    """One name, and the thread that looks it up, if one does."""

    def __init__(self, name: Name, resolve: Resolve) -> None:
        self.name = name
        self._resolve = resolve
        self._under_way: asyncio.Future[Any] | None = None

    async def answer(self, within_s: float) -> tuple[str, ...] | str:
        """The addresses, of which there are some, or why there are none. While a thread is busy there is no other."""
        if self._under_way is None:
            self._under_way = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._look, args=(self._under_way,), name="getaddrinfo", daemon=True).start()
        await asyncio.wait((self._under_way,), timeout=within_s)
        if not self._under_way.done():
            return f"no answer within {within_s:g} s"
        found, self._under_way = self._under_way.result(), None
        if isinstance(found, Exception):
            return str(found) or type(found).__name__
        return tuple(found) or "the answer holds no address"

    def _look(self, future: "asyncio.Future[Any]") -> None:
        found: Any
        try:
            found = self._resolve(*self.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must tell it
            found = error
        with suppress(RuntimeError):  # the event loop may be closed by now
            future.get_loop().call_soon_threadsafe(_set, future, found)


def _set(future: "asyncio.Future[Any]", found: object) -> None:
    if not future.done():
        future.set_result(found)
