"""Puts requests into queues, and sends what waits in them: in batches where that is proven, alone where it is not."""

import asyncio
import math
from collections import Counter
from typing import Final

from gateway.errors import Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching.batch_calls import BatchCalls
from gateway.inference.batching.comparisons import Comparisons
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.queue import Entry, Queue
from gateway.inference.batching.record import Kind, Record
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import row_layout
from gateway.inference.batching.timeouts import Timeouts
from gateway.inference.batching.trials import Trials
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger
from gateway.telemetry.queue_rows import QueueRows

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

    def __init__(self, backend: Backend, limits: BatchLimits, records: Records) -> None:
        self._limits = limits
        self._records = records
        self._comparisons = Comparisons(backend, records, limits.max_rows, limits.sample_every)
        self._trials = Trials(self._comparisons, limits.max_rows, self._look_at_all)
        self._calls = BatchCalls(backend, records, self._comparisons, limits.max_rows)
        self._timeouts = Timeouts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[object, Queue] = {}
        self._queued_rows = 0
        self._queue_rows = QueueRows(self._rows_by_model)
        self._is_closed = False

    def enter(self, kind: Kind, entry: Entry, record: Record) -> Queue:
        """Put an entry into the queue of its kind and layout. Raises Unavailable when too many rows wait.

        ``record`` is what is known of the kind. Once the entry is settled or given up, ``leave`` must be called.
        """
        # No batch may have so many rows before larger calls were compared.
        is_too_large = record.is_joined and entry.rows > record.most_rows
        # Alone it may be larger than the bound, or it would be refused for ever.
        if self._queued_rows and not is_too_large and self._queued_rows + entry.rows > self._limits.max_queued_rows:
            metrics.BATCH_REFUSALS.inc()
            error = Unavailable("too many requests are waiting for the model")
            raise error.decided_by("GATEWAY_BATCH_MAX_QUEUED_ROWS", self._limits.max_queued_rows)
        key = (kind, row_layout(entry.inputs))
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(kind, key)
        if is_too_large:
            self._tell_alone(queue, entry)
            return queue
        queue.add(entry)
        self._queued_rows += entry.rows
        self._queue_rows.watch()
        self._timeouts.add(entry)
        self._look_at(queue, "idle")
        return queue

    def begin_alone(self, queue: Queue, entry: Entry) -> None:
        """The call of an entry that was settled with None begins: it may take part in a trial."""
        self._trials.enter(queue, entry, self._records.of(queue.kind))

    def leave(self, queue: Queue, entry: Entry) -> None:
        """An entry has its outcome, and was called alone if that was it; or its request is given up."""
        self._timeouts.discard(entry)
        if entry.is_waiting:
            self._remove(queue, entry)
            self._forget_if_unused(queue)
        elif entry.is_alone:
            queue.alone -= 1
            entry.is_alone = False
            self._trials.leave(queue, entry)
            self._look_at(queue, "next")

    async def close(self) -> None:
        """End the comparisons and the batches that are under way. Their entries, and those that wait, are called alone."""
        await self._comparisons.close()
        self._is_closed = True
        self._timeouts.close()
        self._look_at_all()
        await asyncio.sleep(0)  # a task that has not begun when it is cancelled settles nothing
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queue_rows.close()

    def _rows_by_model(self) -> Counter[str]:
        rows: Counter[str] = Counter()
        for queue in self._queues.values():
            if queue.rows:
                rows[queue.kind.model.name] += queue.rows
        return rows

    def _look_at_all(self) -> None:
        """Something may have been proven: send what may be sent now."""
        for queue in tuple(self._queues.values()):
            self._look_at(queue, "next")

    def _look_at(self, queue: Queue, reason: str, is_due: bool = False) -> None:
        """Send what may be sent now, or see to it that it is; ``is_due``: what arrived in this turn of the loop is there."""
        record = self._records.of(queue.kind)
        if not record.is_joined or self._is_closed:
            self._call_alone(queue, record)
        elif queue.in_flight < self._limits.max_in_flight:
            queue.end_hold()
            self._send(queue, record, reason, is_due)
        self._forget_if_unused(queue)

    def _send(self, queue: Queue, record: Record, reason: str, is_due: bool) -> None:
        """Send batches, as far as they may be in flight.

        Full ones are sent now. What else waits is sent in two turns of the loop, when nothing is in flight: while something is,
        more may join it.
        """
        most_rows = min(self._limits.max_rows, record.most_rows)
        while queue.waiting and queue.in_flight < self._limits.max_in_flight:
            if queue.rows < most_rows and queue.in_flight:
                return
            if queue.rows < most_rows and not is_due:
                self._schedule(queue, reason)
                return
            before = queue.rows
            batch, too_large = queue.take(most_rows)
            self._queued_rows -= before - queue.rows
            for entry in too_large:
                self._tell_alone(queue, entry)
            if batch:
                queue.in_flight += 1
                is_limited = bool(queue.waiting) and most_rows < self._limits.max_rows
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

    async def _run(self, queue: Queue, batch: list[Entry], reason: str, is_limited: bool) -> None:
        """Make the calls of a batch and settle its entries. If it ``is_limited``, it could not take all that waited."""
        unproven: list[Entry] = []
        try:
            unproven = await self._calls.run(queue.kind, batch, reason)
        except Exception:  # a batch must not be lost to whatever nobody foresaw
            log.exception("batch.failed", model=queue.kind.model.name, requests=len(batch))
        finally:
            self._end(queue, batch, unproven, is_limited)

    def _end(self, queue: Queue, batch: list[Entry], unproven: list[Entry], is_limited: bool) -> None:
        """A batch has ended: those of its entries that have no outcome wait once more, or are called alone."""
        again = [entry for entry in unproven if not (entry.was_returned or entry.outcome.done())]
        for entry in again:
            entry.was_returned = True
            self._queued_rows += entry.rows
        queue.add_first(again)
        for entry in batch:
            if not entry.is_waiting:
                self._tell_alone(queue, entry)
        queue.in_flight -= 1
        if any(entry.answer is not None and entry.answer.is_shared for entry in batch):
            self._grow(queue, batch, is_limited)
        self._look_at(queue, "next")

    def _grow(self, queue: Queue, batch: list[Entry], is_limited: bool) -> None:
        """After a limited batch and the next one, have a call of both compared, so that later batches may have more rows."""
        before, queue.limited = queue.limited, []
        if before:
            self._comparisons.compare_larger(queue.kind, [*before, *batch])
        elif is_limited:
            queue.limited = batch

    def _call_alone(self, queue: Queue, record: Record) -> None:
        """Have as many of a queue called alone as may be; the others wait for a proof."""
        most: float = self._limits.max_alone
        if self._is_closed or record.is_refused:
            most = math.inf
        elif record.may_hold:
            most = min(most, _FEW_ALONE)
        while queue.waiting and queue.alone < most:
            entry = queue.waiting[0]
            self._remove(queue, entry)
            self._tell_alone(queue, entry)
        if queue.waiting and queue.hold is None and record.may_hold:
            hold_s = min(_LONGEST_HOLD_S, _HOLD_OF_DEADLINE * queue.waiting[0].deadline.budget_s)
            queue.hold = asyncio.get_running_loop().call_later(hold_s, self._end_hold, queue)

    def _end_hold(self, queue: Queue) -> None:
        """The proof has not come in time: this version of the signature is waited for no more."""
        queue.hold = None
        self._records.of(queue.kind).may_hold = False
        self._look_at(queue, "next")

    def _tell_alone(self, queue: Queue, entry: Entry) -> None:
        if not entry.outcome.done():
            queue.alone += 1
            entry.is_alone = True
            entry.settle(None)

    def _remove(self, queue: Queue, entry: Entry) -> None:
        queue.remove(entry)
        self._queued_rows -= entry.rows

    def _forget_if_unused(self, queue: Queue) -> None:
        if queue.is_unused:
            queue.end_hold()
            del self._queues[queue.key]
