"""Bounds the calls of each model that are at the model server at a time, so that one model cannot starve the others.

A call above the bound waits, first come, first served, within its deadline. A model without a call keeps nothing in memory.
"""

import asyncio
from collections import deque
from typing import Final, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import Unavailable
from gateway.inference.backend import ModelBackend
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.spans import Spans

# Calls of one model that may wait, for each that may be at the server.
_WAITING_FOR_EACH: Final = 16

_Key: TypeAlias = str | tuple[str, str]
"""A model's name, and the lane if there is one."""


class _Calls:
    """The calls of one model: how many have a slot, and those that wait for one. While any waits, every slot is taken."""

    __slots__ = ("in_flight", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class CallLimit:
    """Runs the calls of ``backend``, at most ``most`` at a time for each model's name, and for each lane of it.

    So a version that hangs holds up no other lane.

    Each call raises what ``backend`` raises; besides, Unavailable when too many calls of the model are waiting already, and
    DeadlineExceeded when a call waits for longer than it has time. For one event loop.
    """

    def __init__(self, backend: ModelBackend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._by_model: dict[_Key, _Calls] = {}

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Prediction:
        """As ``Backend.predict``."""
        key = _key(model)
        calls = await self._enter(key, deadline)
        try:
            return await self._backend.predict(model, signature, inputs, outputs, deadline, spans=spans)
        finally:
            self._end(key, calls)

    async def classify(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Classifications:
        """As ``ExampleBackend.classify``."""
        key = _key(model)
        calls = await self._enter(key, deadline)
        try:
            return await self._backend.classify(model, signature, examples, deadline, spans=spans)
        finally:
            self._end(key, calls)

    async def regress(
        self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline, *, spans: Spans = ()
    ) -> Regressions:
        """As ``ExampleBackend.regress``."""
        key = _key(model)
        calls = await self._enter(key, deadline)
        try:
            return await self._backend.regress(model, signature, examples, deadline, spans=spans)
        finally:
            self._end(key, calls)

    async def _enter(self, key: _Key, deadline: Deadline) -> _Calls:
        """Return when the call has a slot, which ``_end`` gives back."""
        calls = self._by_model.get(key)
        if calls is None:
            calls = self._by_model[key] = _Calls()
        if calls.in_flight < self._most:
            calls.in_flight += 1
        elif len(calls.waiting) < self._most * _WAITING_FOR_EACH:
            await self._wait(key, calls, deadline)
        else:
            metrics.MODEL_CALL_REFUSALS.inc()
            error = Unavailable("too many calls of the model are waiting")
            raise error.decided_by("GATEWAY_MODEL_MAX_IN_FLIGHT", self._most)
        return calls

    async def _wait(self, key: _Key, calls: _Calls, deadline: Deadline) -> None:
        turn = asyncio.get_running_loop().create_future()
        calls.waiting.append(turn)
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                await turn
        except BaseException as error:
            if turn in calls.waiting:
                calls.waiting.remove(turn)
            elif not turn.cancelled():
                self._end(key, calls)  # the slot was given at the very moment
            if isinstance(error, TimeoutError):
                raise deadline.exceeded() from None
            raise

    def _end(self, key: _Key, calls: _Calls) -> None:
        """A call has ended: its slot goes to the first that waits."""
        while calls.waiting:
            turn = calls.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        calls.in_flight -= 1
        if not calls.in_flight:
            del self._by_model[key]


def _key(model: ModelRef) -> _Key:
    return (model.name, model.lane) if model.lane else model.name
