"""Bounds the large bodies that one worker has in work, because objects made of JSON take up to fifty times its size.

A body over 64 KiB needs its share of a number of bytes before it is decoded, and keeps it until its request is answered.
Decoding and encoding of more than 64 KiB run in threads, so that the event loop does not wait for them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import numpy.typing as npt

from gateway.call import Call
from gateway.deadline import Deadline
from gateway.errors import Unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

SMALL_BYTES: Final = 65_536  # up to here a body needs no share and no thread
LARGE_BYTES: Final = 1 << 20
_MEDIUM_IN_WORK_BYTES: Final = 8 << 20  # apart from large ones, which take long
_THREADS: Final = 2


class Shares:
    """Shares of ``total``, first come, first served: small shares do not pass a large one that waits. For one event loop."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int, deadline: Deadline) -> bool:
        """Wait within ``deadline`` until ``amount`` is free and all that waited before have theirs; whether it is held now.

        Raises ValueError for more than ``total``, DeadlineExceeded when no time is left at the beginning.
        """
        if amount > self.total:
            raise ValueError(f"{amount} of {self.total}")
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return True
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, granted))
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.give_back(amount)
            else:
                granted.cancel()
                # This one may have been all that the next one waited for.
                self._grant()
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def give_back(self, amount: int) -> None:
        """Let others have ``amount`` of what ``take`` gave."""
        self._free += amount
        self._grant()

    def _grant(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._free):
            amount, granted = self._waiting.popleft()
            if not granted.cancelled():
                self._free -= amount
                granted.set_result(None)


class Held:
    """A share of ``amount`` bytes that is held until its request is answered."""

    def __init__(self, shares: Shares, amount: int) -> None:
        self._shares = shares
        self._amount = amount

    def keep_only(self, amount: int) -> None:
        """Give back what is over ``amount``."""
        self._shares.give_back(self._amount - amount)
        self._amount = amount

    def give_back(self) -> None:
        """Give all of it back."""
        self.keep_only(0)


class Memory:
    """Bounds the memory of one worker's bodies, each of at most ``body_limit`` bytes. For one event loop."""

    def __init__(self, body_limit: int) -> None:
        self._large = Shares(body_limit)
        self._medium = Shares(_MEDIUM_IN_WORK_BYTES)
        self._threads = ThreadPoolExecutor(_THREADS, "body")

    def close(self) -> None:
        """End the threads, without waiting for their work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hold(self, call: Call, json_bytes: int) -> Held:
        """Wait, within the deadline of ``call``, for a share of so many bytes, which it keeps until it is answered.

        Raises Unavailable: too many other bodies are in work.
        """
        shares = self._large if json_bytes > LARGE_BYTES else self._medium
        if not await shares.take(json_bytes, call.deadline):
            error = Unavailable("too many large bodies are in work")
            if shares is self._large:
                raise error.decided_by("GATEWAY_MAX_BODY_BYTES", shares.total)
            # The other bound is no setting: how long a request waits for its share is one.
            error.setting = call.deadline.exceeded().setting
            raise error
        held = Held(shares, json_bytes)
        call.when_answered += (held.give_back,)
        return held

    async def run(
        self, size: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Return what ``work`` returns for the arguments. It runs in a thread if they (``size``, in bytes) are over 64 KiB."""
        if size <= SMALL_BYTES:
            return work(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    def running(self, size: int, work: Callable[Arguments, Result]) -> Callable[Arguments, Awaitable[Result]]:
        """A function that does ``work`` as ``run`` does."""
        return partial(self.run, size, work)


def tensor_bytes(tensors: Mapping[str, "npt.NDArray[Any]"]) -> int:
    """Bytes of all of ``tensors``; a string counts as the reference to it."""
    return sum([array.nbytes for array in tensors.values()])
