"""Puts requests into queues, and sends what waits in them: in batches where that is proven, alone where it is not."""

import asyncio
import math
import time
from typing import Final

from gateway.errors import Unavailable
from gateway.inference.batching import rows
from gateway.inference.batching.batch_calls import BatchCalls, Ended
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.queue import Entry, Queue, State
from gateway.inference.batching.record import Kind, Record, Records
from gateway.inference.batching.timeouts import Timeouts
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batcher")

# Lone calls of one key at a time while its signature may soon be proven, for a part of the deadline and this long at most. So
# the comparisons that prove it are not behind all other requests at the model server.
_FEW_ALONE: Final = 4
_LONGEST_HOLD_S: Final = 0.25
_HOLD_OF_DEADLINE: Final = 1 / 8


class Dispatcher:
    """The queues that are in use, and the tasks of their batches.

    An entry is settled with an answer or an error, or with None: then its request must be called alone, which counts as under
    way until ``leave``. A queue is known exactly as long as something waits in it or is under way.
    """

    def __init__(self, calls: BatchCalls, records: Records, limits: BatchLimits) -> None:
        self._calls = calls
        self._records = records
        self._limits = limits
        self._timeouts = Timeouts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[object, Queue] = {}
        self._queued_rows = 0
        self._is_closed = False

    def enter(self, kind: Kind, entry: Entry, record: Record | None) -> Queue:
        """Put an entry into the queue of its kind and layout. Raises Unavailable when too many rows wait.

        ``record`` is what is known of the kind. Once the entry is settled or given up, ``leave`` must be called.
        """
        # Alone it may be larger than the bound, or it would be refused for ever.
        if self._queued_rows and self._queued_rows + entry.rows > self._limits.max_queued_rows:
            metrics.BATCH_REFUSALS.inc()
            error = Unavailable("too many requests are waiting for the model")
            raise error.decided_by("GATEWAY_BATCH_MAX_QUEUED_ROWS", self._limits.max_queued_rows)
        key = (kind, rows.layout(entry.inputs))
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(kind, key)
        queue.add(entry)
        self._queued_rows += entry.rows
        self._timeouts.add(entry)
        self._send_or_call_alone(queue, record, "idle")
        return queue

    def leave(self, queue: Queue, entry: Entry) -> None:
        """An entry has its outcome, and was called alone if that was it; or its request is given up."""
        self._timeouts.discard(entry)
        if entry.state is State.WAITING:
            queue.remove(entry)
            self._queued_rows -= entry.rows
            self._forget_if_unused(queue)
        elif entry.state is State.ALONE:
            queue.alone -= 1
            self._look_at(queue, "next")

    def look_at_all(self) -> None:
        """Something may have been proven: send what may be sent now."""
        for queue in tuple(self._queues.values()):
            self._look_at(queue, "next")

    async def close(self) -> None:
        """End the batches that are under way. Their entries, and those that wait, are called alone."""
        self._is_closed = True
        self._timeouts.close()
        self.look_at_all()
        await asyncio.sleep(0)  # a task that has not begun when it is cancelled settles nothing
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        """After a limited batch and the next one, have a call of both compared, so that later batches may have more rows."""
        before, queue.limited = queue.limited, []
        if before:
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
