"""Joins requests that arrive while the backend is busy into one call, where that is proven to change no answer.

Always holds: a request's answer and its error never depend on what shared its batch.

- Only requests of one key share a batch: model, version asked for, signature, shapes but for dimension 0, outputs.
- They share one only once the signature has earned it (``record``), and get the rows of one only while it still has, in the
  version that answered. All others are called alone (``trials``).
- A batch that the backend refuses is halved until only those are refused that are refused alone. When an answer does not have
  one row for each row sent, each request is called alone.
- No request waits longer than its own deadline. One that is given up, by its deadline or by its client, leaves the others of
  its batch as they were.
- With nothing in flight a request is sent at once, with all that arrives in the same turn of the event loop. What arrives while
  a batch is in flight becomes the next one. The queue is bounded.
- What waits to be called alone joins a batch as soon as its signature is proven.
"""

import asyncio
import copy
import fnmatch
import math
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from gateway.deadline import Deadline
from gateway.errors import GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching import rows as row_wise
from gateway.inference.batching.batch_calls import BatchCalls, Ended
from gateway.inference.batching.queue import Entry, Queue, State
from gateway.inference.batching.record import Kind, Record, Records
from gateway.inference.batching.timeouts import Timeouts
from gateway.inference.batching.trials import Trials
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batcher")

# Lone calls of one key at a time while its signature may soon be proven, for a part of the deadline and this long at most. So
# the comparisons that prove it are not behind all other requests at the model server.
_FEW_ALONE: Final = 4
_LONGEST_HOLD_S: Final = 0.25
_HOLD_OF_DEADLINE: Final = 1 / 8


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """``max_rows`` of a batch, ``max_queued_rows`` waiting over all keys, ``max_in_flight`` batches of one key.

    ``max_alone``: lone calls of one key at a time while it is not proven. ``sample_every``: one shared batch in so many is
    compared again with the lone calls of its requests; 0: none is. ``never``: patterns, as of a shell, of the models that are
    never joined.
    """

    max_rows: int
    max_in_flight: int
    max_queued_rows: int
    max_alone: int = 32
    sample_every: int = 0
    never: tuple[str, ...] = ()


class Batcher:
    """A backend that batches the calls of another one. For one event loop."""

    def __init__(self, backend: Backend, limits: BatchLimits, records: Records) -> None:
        self._backend = backend
        self._limits = limits
        self._records = records
        self._trials = Trials(backend, records, limits.max_rows, self._look_at_all)
        self._is_never_joined = lru_cache(1024)(partial(_matches, limits.never))
        self._kind = lru_cache(1024)(Kind)  # one value for equal ones, which are found sooner by it
        self._calls = BatchCalls(backend, records, self._trials, limits.max_rows, limits.sample_every)
        self._timeouts = Timeouts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[object, Queue] = {}
        self._queued_rows = 0
        self._is_closed = False

    async def predict(
        self, model: ModelRef, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        """As ``Backend.predict``, and Unavailable at once when the queue is full."""
        kind = self._kind(model, signature, outputs)
        count = row_wise.count(signature, inputs)
        if count is None or count > self._limits.max_rows or self._is_never_joined(model.name):
            return await self._backend.predict(model, signature, inputs, outputs, deadline)
        record = self._records.of(kind)
        if self._is_alone(record, count):
            return await self._trials.predict(kind, inputs, count, deadline)
        queue = self._queue(kind, inputs)
        entry = Entry(inputs, count, deadline, asyncio.get_running_loop().create_future())
        self._enter(queue, entry, record)
        try:
            outcome = await entry.outcome
            if outcome is None:
                return await self._trials.predict(kind, inputs, count, deadline)
        finally:
            self._leave(queue, entry)
        if isinstance(outcome, GatewayError):
            # Not the one instance for all: raising it puts a traceback on it, which holds the frame of its request.
            raise copy.copy(outcome)
        return outcome

    def why_not_joined(self, served: ServedModel, signature: Signature) -> str | None:
        """Why requests for this signature of a version are never joined; None when they are, or will be once it is proven."""
        if self._is_never_joined(served.name):
            return "GATEWAY_BATCH_OFF names the model"
        return signature.not_joinable or self._records.verdict(served.name, served.version, signature.name)

    async def close(self) -> None:
        """End the batches and comparisons that are under way. What still waits is called alone."""
        self._is_closed = True
        self._timeouts.close()
        self._look_at_all()
        await self._trials.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_alone(self, record: Record | None, count: int) -> bool:
        """Whether a request of ``count`` rows has no batch to wait for: never, or not before larger calls were compared."""
        if record is None:
            return False
        return count > record.most_rows if record.is_joined else self._records.is_refused(record)

    def _queue(self, kind: Kind, inputs: Tensors) -> Queue:
        key = (kind, row_wise.layout(inputs))
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(kind, key)
        return queue

    def _enter(self, queue: Queue, entry: Entry, record: Record | None) -> None:
        """Take a place in the queue."""
        # Alone it may be larger than the bound, or it would be refused for ever.
        if self._queued_rows and self._queued_rows + entry.rows > self._limits.max_queued_rows:
            self._forget_if_unused(queue)
            metrics.BATCH_REFUSALS.inc()
            error = Unavailable("too many requests are waiting for the model")
            raise error.decided_by("GATEWAY_BATCH_MAX_QUEUED_ROWS", self._limits.max_queued_rows)
        queue.add(entry)
        self._queued_rows += entry.rows
        self._timeouts.add(entry)
        self._send_or_call_alone(queue, record, "idle")

    def _leave(self, queue: Queue, entry: Entry) -> None:
        """The request has its outcome, or is given up."""
        self._timeouts.discard(entry)
        if entry.state is State.WAITING:
            queue.remove(entry)
            self._queued_rows -= entry.rows
            self._forget_if_unused(queue)
        elif entry.state is State.ALONE:
            queue.alone -= 1
            self._look_at(queue, "next")

    def _look_at_all(self) -> None:
        """Something may have been proven."""
        for queue in tuple(self._queues.values()):
            self._look_at(queue, "next")

    def _look_at(self, queue: Queue, reason: str, is_due: bool = False) -> None:
        """Send what may be sent now, or see to it that it is; ``is_due``: what arrived in this turn of the loop is there."""
        self._send_or_call_alone(queue, self._records.of(queue.kind), reason, is_due)
        self._forget_if_unused(queue)

    def _send_or_call_alone(self, queue: Queue, record: Record | None, reason: str, is_due: bool = False) -> None:
        if record is None or not record.is_joined or self._is_closed:
            self._call_alone(queue, record)
        elif queue.in_flight < self._limits.max_in_flight:
            queue.end_hold()
            queue.most_rows = min(self._limits.max_rows, record.most_rows)
            self._send(queue, reason, is_due)

    def _send(self, queue: Queue, reason: str, is_due: bool) -> None:
        """Send batches, as far as they may be in flight: full ones now, and what else waits in two turns of the loop."""
        while queue.waiting and queue.in_flight < self._limits.max_in_flight:
            if not is_due and queue.rows < queue.most_rows:
                self._schedule(queue, reason)
                return
            batch = self._take(queue)
            if batch:
                queue.in_flight += 1
                is_limited = bool(queue.waiting) and queue.most_rows < self._limits.max_rows
                task = asyncio.get_running_loop().create_task(self._run(queue, batch, reason, is_limited))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _schedule(self, queue: Queue, reason: str) -> None:
        # The first turn ends when all sockets that were ready have been read, the second when their requests were handled.
        if not queue.is_scheduled:
            queue.is_scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._on_turn, queue, reason)

    def _on_turn(self, queue: Queue, reason: str) -> None:
        queue.is_scheduled = False
        self._look_at(queue, reason, is_due=True)

    def _take(self, queue: Queue) -> list[Entry]:
        """Those that wait, in their order, as far as they have ``most_rows`` together. Larger ones are called alone."""
        batch: list[Entry] = []
        total = 0
        now_s = time.perf_counter()
        while queue.waiting and (queue.waiting[0].rows > queue.most_rows or total + queue.waiting[0].rows <= queue.most_rows):
            entry = self._pop(queue)
            if entry.rows > queue.most_rows:
                self._tell_alone(queue, entry)
            else:
                entry.state, entry.sent_s = State.SENT, now_s
                batch.append(entry)
                total += entry.rows
        return batch

    def _pop(self, queue: Queue) -> Entry:
        entry = queue.pop()
        self._queued_rows -= entry.rows
        entry.state = State.DONE
        return entry

    async def _run(self, queue: Queue, batch: list[Entry], reason: str, is_limited: bool) -> None:
        """Make the calls of a batch and settle its entries. If it ``is_limited``, it could not take all that waited."""
        ended = Ended()
        try:
            ended = await self._calls.run(queue.kind, batch, reason)
        except Exception:  # a batch must not be lost to whatever nobody foresaw
            log.exception("batch.failed", model=queue.kind.model.name, requests=len(batch))
        finally:
            self._end(queue, batch, ended, is_limited)

    def _end(self, queue: Queue, batch: list[Entry], ended: Ended, is_limited: bool) -> None:
        """A batch has ended: those of its entries that have no outcome wait once more, or are called alone."""
        again = [entry for entry in ended.unproven if not (entry.was_returned or entry.outcome.done())]
        for entry in again:
            entry.was_returned = True
            self._queued_rows += entry.rows
        queue.add_first(again)
        for entry in batch:
            if entry.state is State.SENT:
                self._tell_alone(queue, entry)
        queue.in_flight -= 1
        if ended.shared is not None:
            self._calls.sample(queue.kind, *ended.shared)
            self._grow(queue, ended.shared[0], is_limited)
        self._look_at(queue, "next")

    def _grow(self, queue: Queue, batch: list[Entry], is_limited: bool) -> None:
        """After two limited batches in a row, have a call of both compared, so that later batches may have more rows."""
        before, queue.limited = queue.limited, []
        if is_limited and before:
            self._calls.grow(queue.kind, [*before, *batch])
        elif is_limited:
            queue.limited = batch

    def _call_alone(self, queue: Queue, record: Record | None) -> None:
        """Have as many of a queue called alone as may be; the others wait for a proof."""
        most = self._most_alone(queue, record)
        while queue.waiting and queue.alone < most:
            self._tell_alone(queue, self._pop(queue))
        if queue.waiting and queue.hold is None and _may_hold(queue, record):
            hold_s = min(_LONGEST_HOLD_S, _HOLD_OF_DEADLINE * queue.waiting[0].deadline.budget_s)
            queue.hold = asyncio.get_running_loop().call_later(hold_s, self._end_hold, queue)

    def _most_alone(self, queue: Queue, record: Record | None) -> float:
        if self._is_closed or (record is not None and self._records.is_refused(record)):
            return math.inf
        most = self._limits.max_alone
        return min(most, _FEW_ALONE) if _may_hold(queue, record) else most

    def _end_hold(self, queue: Queue) -> None:
        """The proof has not come in time: this version of the signature is waited for no more."""
        queue.hold = None
        queue.was_held = True
        record = self._records.of(queue.kind)
        if record is not None:
            record.may_hold = False
        self._look_at(queue, "next")

    def _tell_alone(self, queue: Queue, entry: Entry) -> None:
        if not entry.outcome.done():
            queue.alone += 1
            entry.settle(None, State.ALONE)

    def _forget_if_unused(self, queue: Queue) -> None:
        if queue.is_unused:
            queue.end_hold()
            del self._queues[queue.key]


def _may_hold(queue: Queue, record: Record | None) -> bool:
    return not queue.was_held if record is None else record.may_hold


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
