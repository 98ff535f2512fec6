"""Compares shared calls with lone ones, in tasks beside the requests: no request waits for one or gets its answer from one."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching.difference import first_difference
from gateway.inference.batching.probe_rows import PROBE_KINDS, probe_rows
from gateway.inference.batching.queue import Entry
from gateway.inference.batching.record import Kind, Record
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import joined_rows, rows_are_equal
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batching")

MOST_BYTES: Final = 32 * 2**20
"""What one comparison may hold of inputs or of answers. Larger requests prove nothing."""

# Comparisons that one worker makes at a time.
_MOST: Final = 2

# Answers above this many bytes are compared in a thread, because that would hold up the event loop.
_LARGE_BYTES: Final = 2**20

# What is beside the requests of a comparison, in turn: probe rows of each kind, the first request once more, nothing.
_FIRST_AGAIN: Final = PROBE_KINDS
_NOTHING: Final = PROBE_KINDS + 1


class Comparisons:
    """Calls ``backend`` to compare calls of at most ``max_rows`` rows, and tells ``records`` what they show.

    One shared call in ``sample_every`` is compared after it was answered (0: none is). For one event loop.
    """

    def __init__(self, backend: Backend, records: Records, max_rows: int, sample_every: int) -> None:
        self._backend = backend
        self._records = records
        self._max_rows = max_rows
        self._sample_every = sample_every
        self._shared_calls = itertools.count(1)
        self._beside = itertools.cycle(range(_NOTHING + 1))
        self._place = asyncio.Semaphore(_MOST)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def compare_trial(self, kind: Kind, entries: Iterable[Entry], on_end: Callable[[], None]) -> None:
        """Call requests together that were called alone, and call ``on_end`` then. Those without an answer are left out."""
        self._start(kind, partial(self._compare_together, kind, _answered(entries), self._beside), on_end)

    def compare_sample(self, kind: Kind, entries: Sequence[Entry], shared: Prediction) -> None:
        """Call the requests alone that a shared call has answered, if it is one to be compared."""
        is_due = self._sample_every and next(self._shared_calls) % self._sample_every == 0
        if is_due and not self._is_busy:
            self._start(kind, partial(self._compare_alone, kind, entries, shared))

    def compare_larger(self, kind: Kind, entries: Iterable[Entry]) -> None:
        """Call requests of two batches together, so that later batches may have as many rows."""
        if self._records.of(kind).most_trials and not self._is_busy:
            answered = _answered(entries)
            ends = itertools.accumulate(entry.rows for entry in answered)
            fitting = [entry for entry, end in zip(answered, ends, strict=True) if end <= self._max_rows]
            self._start(kind, partial(self._compare_together, kind, fitting, itertools.repeat(_NOTHING)))

    async def close(self) -> None:
        """End the comparisons that are under way; no further one begins."""
        self._is_closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_busy(self) -> bool:
        """Whether a further comparison would have to wait."""
        return len(self._tasks) >= _MOST

    def _start(self, kind: Kind, compare: Callable[[], Awaitable[bool]], on_end: Callable[[], None] = lambda: None) -> None:
        if not self._is_closed:
            task = asyncio.get_running_loop().create_task(self._run(kind, compare, on_end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, kind: Kind, compare: Callable[[], Awaitable[bool]], on_end: Callable[[], None]) -> None:
        """Make a comparison when it is its turn. After one that failed, or had answers of two versions, there is a pause."""
        record, is_conclusive = self._records.of(kind), False
        try:
            async with self._place:
                is_conclusive = await compare()
        except GatewayError:
            pass
        except Exception:  # no request waits for it, so none would tell
            log.exception("batch.trial_failed", model=kind.model.name, signature=kind.signature.name)
        if not is_conclusive:
            record.pause_trials()
            metrics.BATCH_PROOFS.labels(kind.model.name, "inconclusive").inc()
        on_end()

    async def _compare_together(self, kind: Kind, entries: list[Entry], beside: Iterator[int]) -> bool:
        """Compare a shared call with the requests' answers, if that is of use."""
        if not _is_of_use(self._records.of(kind), entries):
            return True
        shared = await self._call_together(kind, entries, _rows_beside(entries, next(beside)))
        return await self._judge(kind, entries, _answers(entries), shared)

    async def _call_together(self, kind: Kind, entries: list[Entry], beside: Tensors) -> Prediction:
        """The answer to the entries in one call, with the rows ``beside`` if they fit and the model takes them."""
        inputs, count = _joined(entries), _row_count(entries)
        total = count + max((len(array) for array in beside.values()), default=0)
        if count < total <= self._max_rows:
            try:
                shared = await self._call(kind, joined_rows([inputs, beside]), entries)
            except (Unavailable, DeadlineExceeded):
                raise
            except GatewayError:
                pass
            else:
                self._records.note_answer(kind, shared, total)
                return replace(shared, outputs={name: array[:count] for name, array in shared.outputs.items() if array.ndim})
        return await self._call(kind, inputs, entries)

    async def _compare_alone(self, kind: Kind, entries: Sequence[Entry], shared: Prediction) -> bool:
        alone = [await self._call(kind, entry.inputs, [entry]) for entry in entries]
        return await self._judge(kind, entries, alone, shared)

    async def _call(self, kind: Kind, inputs: Tensors, entries: Sequence[Entry]) -> Prediction:
        deadline = Deadline.after(max(entry.deadline.budget_s for entry in entries))
        return await self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    async def _judge(self, kind: Kind, entries: Sequence[Entry], alone: Sequence[Prediction], shared: Prediction) -> bool:
        """Compare a shared answer with the lone ones, and note what it shows; False when they are of two versions."""
        record = self._records.answered(kind, shared.version)
        if any(answer.version != shared.version for answer in alone):
            return False
        sizes = [entry.rows for entry in entries]
        find = partial(first_difference, shared.outputs, [answer.outputs for answer in alone], sizes)
        found = await asyncio.to_thread(find) if _output_bytes(alone) > _LARGE_BYTES else find()
        metrics.BATCH_PROOFS.labels(kind.model.name, "different" if found else "equal").inc()
        if found:
            self._records.refuse(record.key, found)
        else:
            record.count_proof(sum(sizes))
        return True


def _is_of_use(record: Record, entries: Sequence[Entry]) -> bool:
    """Whether a shared call of the entries can show something that is not known."""
    if len(entries) < 2 or record.knows(_row_count(entries)) or rows_are_equal(_joined(entries)):
        return False
    return _output_bytes(_answers(entries)) <= MOST_BYTES


def _rows_beside(entries: Sequence[Entry], turn: int) -> Tensors:
    if turn < PROBE_KINDS:
        return probe_rows(_joined(entries), turn)
    # A model that sorts the rows, or drops equal ones, may by chance answer a few requests right; with one of them twice it
    # cannot. One that reverses them may then, so not every trial has one twice.
    return entries[0].inputs if turn == _FIRST_AGAIN else {}


def _answers(entries: Iterable[Entry]) -> list[Prediction]:
    return [entry.answer for entry in entries if entry.answer is not None]


def _answered(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.answer is not None]


def _row_count(entries: Iterable[Entry]) -> int:
    return sum(entry.rows for entry in entries)


def _joined(entries: Iterable[Entry]) -> Tensors:
    return joined_rows([entry.inputs for entry in entries])


def _output_bytes(answers: Iterable[Prediction]) -> int:
    return sum(array.nbytes for answer in answers for array in answer.outputs.values())
