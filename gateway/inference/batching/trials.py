"""Makes the calls of what is not proven yet, and compares shared calls with lone ones.

Until a signature is proven, each of its requests is called alone. Those of a trial are called once more when all of them are
answered, together, in a task of its own: so no request waits for a comparison or gets its answer from one. A model under light
load has no trials and so no further calls. Later, a sample of the shared calls is compared after it was answered.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching import comparison, probe_rows, rows
from gateway.inference.batching.comparison import NOT_ROWS, Difference
from gateway.inference.batching.comparisons import Comparisons
from gateway.inference.batching.record import Kind, Record, Records
from gateway.inference.batching.trial import MOST_BYTES, Gathering, Request, Trial
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batching")

# After a trial without a verdict: how long until the next, doubled each time up to the longest, so that a model that refuses
# each shared call is not called in vain for ever.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0

# Answers above this many bytes are compared in a thread, because that would hold up the event loop.
_LARGE_BYTES: Final = 2**20


class Trials:
    """Calls ``backend``, and tells ``records`` what the calls show. ``on_end`` is called whenever a trial is over."""

    on_end: Callable[[], None]

    def __init__(self, backend: Backend, records: Records, max_rows: int) -> None:
        self._backend = backend
        self._records = records
        self._max_rows = max_rows
        self.on_end = lambda: None
        self._gathering = Gathering(max_rows)
        self._turn = itertools.count()
        self._comparisons = Comparisons()

    @property
    def is_idle(self) -> bool:
        """Whether no lone call of what is not proven is under way, and nothing is to be compared."""
        return self._gathering.is_idle and self._comparisons.is_idle

    async def close(self) -> None:
        """End the comparisons that are under way; no further one begins."""
        await self._comparisons.close()

    async def predict(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline) -> Prediction:
        """Call a request of ``count`` rows alone. What it shows about joining is noted. Raises as ``Backend.predict``."""
        metrics.of_batches(kind.model.name).count_alone(count)
        self._records.take_news()
        record = self._records.of(kind)
        if record is not None and ((count <= record.most_rows and record.is_joined) or self._records.is_refused(record)):
            return await self._call_alone(kind, inputs, count, deadline)
        request = Request(inputs, count, deadline.budget_s)
        trial = self._gathering.enter(kind, request, self._most_trials(record))
        try:
            request.answer = await self._call_alone(kind, inputs, count, deadline)
        finally:
            if self._gathering.leave(kind, request, trial) and trial is not None:
                self._comparisons.add(partial(self._end, trial))
        return request.answer

    def note_rows(self, kind: Kind, prediction: Prediction, count: int) -> Record:
        """A call of ``count`` rows was answered: an output that has not one row for each is a verdict. Returns the record."""
        record = self._records.answered(kind, prediction.version)
        for name in rows.without_rows(prediction.outputs, count):
            self._records.refuse(record.model, record.version, record.signature, Difference(name, NOT_ROWS))
        return record

    def sample(self, kind: Kind, requests: Sequence[Request], shared: Prediction) -> None:
        """Compare a shared call, which was answered, with lone calls of its requests."""
        self._compare_if_free(kind, partial(self._compare_alone, kind, requests, shared))

    def grow(self, kind: Kind, requests: Sequence[Request]) -> None:
        """Compare a larger call than was compared before with the answers that the requests in it got from smaller ones."""
        record = self._records.of(kind)
        fitting = list(_fitting(requests, self._max_rows))
        if record is not None and _rows(fitting) > record.most_rows and time.monotonic() >= record.next_trial_s:
            self._compare_if_free(kind, partial(self._compare_larger, kind, fitting, record))

    async def _call(self, kind: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return await self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    async def _call_alone(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline) -> Prediction:
        prediction = await self._call(kind, inputs, deadline)
        self.note_rows(kind, prediction, count)
        return prediction

    def _most_trials(self, record: Record | None) -> int:
        """How many trials a kind may have at a time: as many as it needs, and none during a pause."""
        if record is None:
            return self._records.proofs
        return max(1, record.proofs_left) if time.monotonic() >= record.next_trial_s else 0

    async def _end(self, trial: Trial) -> None:
        requests = [request for request in trial.requests if request.answer is not None]
        try:
            if not await self._has_ended(trial.kind, self._call_together(trial.kind, requests)):
                self._note_no_verdict(self._records.of(trial.kind), trial.kind.model.name)
        finally:
            self._gathering.end(trial)
            self.on_end()

    async def _has_ended(self, kind: Kind, comparison: Awaitable[bool]) -> bool:
        """Whether a comparison came to its end. One that failed, or had answers of two versions, shows nothing."""
        try:
            return await comparison
        except GatewayError:
            return False
        except Exception:  # no request waits for it, so none would tell
            log.exception("batch.trial_failed", model=kind.model.name, signature=kind.signature.name)
            return False

    async def _call_together(self, kind: Kind, requests: list[Request]) -> bool:
        """Make the shared call of a trial, if there is something to learn from it. Raises as ``Backend.predict``."""
        record = self._records.of(kind)
        if len(requests) < 2 or record is None or self._records.is_refused(record):
            return True
        inputs = rows.join([request.inputs for request in requests])
        is_known = record.is_joined and _rows(requests) <= record.most_rows
        if is_known or rows.are_equal(inputs) or _answered_bytes(requests) > MOST_BYTES:
            return True
        turn = next(self._turn) % (2 + probe_rows.KINDS)
        if turn < probe_rows.KINDS and _rows(requests) + probe_rows.COUNT <= self._max_rows:
            shared = await self._call_beside_probes(kind, requests, inputs, turn)
            if shared is not None:
                return await self._judge(kind, requests, shared)
        if turn == probe_rows.KINDS:
            requests = self._with_one_twice(requests)
        inputs = rows.join([request.inputs for request in requests])
        return await self._judge(kind, requests, await self._call(kind, inputs, _deadline(requests)))

    async def _call_beside_probes(self, kind: Kind, requests: list[Request], inputs: Tensors, which: int) -> Prediction | None:
        """The rows of the requests, called beside probe rows; None when the model refuses such rows."""
        among = rows.join([inputs, probe_rows.beside(inputs, which)])
        try:
            shared = await self._call(kind, among, _deadline(requests))
        except (Unavailable, DeadlineExceeded):
            raise
        except GatewayError:
            return None
        self.note_rows(kind, shared, _rows(requests) + probe_rows.COUNT)
        return replace(shared, outputs={name: array[: _rows(requests)] for name, array in shared.outputs.items() if array.ndim})

    def _with_one_twice(self, requests: list[Request]) -> list[Request]:
        """The requests with the first again behind the last, where that fits.

        A model that sorts the rows, or drops equal ones, may by chance answer a few requests right; with one of them twice it
        cannot. (One that reverses them may then, so not every trial has one twice.)
        """
        longer = [*requests, requests[0]]
        return longer if _rows(longer) <= self._max_rows else requests

    def _compare_if_free(self, kind: Kind, compare: Callable[[], Awaitable[bool]]) -> None:
        """Make a comparison, unless enough of them are under way."""

        async def run() -> None:
            if not await self._has_ended(kind, compare()):
                metrics.BATCH_PROOFS.labels(kind.model.name, "inconclusive").inc()

        if not self._comparisons.is_busy:
            self._comparisons.add(run)

    async def _compare_larger(self, kind: Kind, requests: list[Request], record: Record) -> bool:
        """Make a shared call of requests that were answered."""
        inputs = rows.join([request.inputs for request in requests])
        if rows.are_equal(inputs) or _answered_bytes(requests) > MOST_BYTES:
            return True
        try:
            shared = await self._call(kind, inputs, _deadline(requests))
        except GatewayError:
            _put_off_trials(record)
            raise
        return await self._judge(kind, requests, shared)

    async def _compare_alone(self, kind: Kind, requests: Sequence[Request], shared: Prediction) -> bool:
        """Make the lone calls of a shared one."""
        for request in requests:
            request.answer = await self._call(kind, request.inputs, _deadline([request]))
        return await self._judge(kind, requests, shared)

    async def _judge(self, kind: Kind, requests: Sequence[Request], shared: Prediction) -> bool:
        """Compare a shared answer with the requests' own, and note what it shows; False when they are of two versions."""
        record = self._records.answered(kind, shared.version)
        answers = [request.answer for request in requests if request.answer is not None]
        if any(answer.version != shared.version for answer in answers):
            return False
        find = partial(
            comparison.difference,
            shared.outputs,
            [answer.outputs for answer in answers],
            [request.rows for request in requests],
        )
        found = await asyncio.to_thread(find) if _answered_bytes(requests) > _LARGE_BYTES else find()
        metrics.BATCH_PROOFS.labels(kind.model.name, "different" if found else "equal").inc()
        if found:
            self._records.refuse(record.model, record.version, record.signature, found)
        else:
            record.failed_trials = 0
            self._records.count_proof(record, _rows(requests))
        return True

    def _note_no_verdict(self, record: Record | None, model: str) -> None:
        metrics.BATCH_PROOFS.labels(model, "inconclusive").inc()
        if record is not None:
            _put_off_trials(record)


def _put_off_trials(record: Record) -> None:
    """A comparison has failed: make a pause, which is twice as long as the last."""
    pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**record.failed_trials)
    record.next_trial_s = time.monotonic() + pause_s
    record.failed_trials += pause_s < _LONGEST_PAUSE_S


def _rows(requests: Sequence[Request]) -> int:
    return sum(request.rows for request in requests)


def _fitting(requests: Sequence[Request], max_rows: int) -> Iterator[Request]:
    """The first requests, as far as they have ``max_rows`` rows together."""
    total = 0
    for request in requests:
        total += request.rows
        if total > max_rows:
            return
        yield request


def _answered_bytes(requests: Sequence[Request]) -> int:
    answers = [request.answer for request in requests if request.answer is not None]
    return sum(array.nbytes for answer in answers for array in answer.outputs.values())


def _deadline(requests: Sequence[Request]) -> Deadline:
    return Deadline.after(max(request.budget_s for request in requests))
