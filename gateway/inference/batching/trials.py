"""Makes the calls of what is not proven yet, and compares shared calls with lone ones.

Until a signature is proven, each of its requests is called alone, at once. Those of a trial are called once more when all of
them are answered, together, by a thread of its own: so no request waits for a comparison or gets its answer from one. A model
under light load has no trials and so no further calls. Later, a sample of the shared calls is compared after it was answered.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.batching import comparison, rows, strangers
from gateway.inference.batching.comparison import NOT_ROWS, Difference
from gateway.inference.batching.record import Kind, Record, Records
from gateway.inference.batching.trial import MOST_BYTES, Gathering, Member, Trial
from gateway.inference.predictor import Backend
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batching")

# Comparisons that one worker makes at a time.
_THREADS: Final = 2

# After a trial without a verdict: how long until the next, doubled each time up to the longest, so that a model that refuses
# each shared call is not called in vain for ever.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0


class Trials:
    """Calls ``backend``, and tells ``records`` what the calls show. Thread-safe."""

    def __init__(self, backend: Backend, records: Records, max_rows: int) -> None:
        self._backend = backend
        self._records = records
        self._max_rows = max_rows
        self._gathering = Gathering(max_rows)
        self._turn = itertools.count()
        self._places = threading.BoundedSemaphore(_THREADS)
        self._pool = ThreadPoolExecutor(_THREADS, "compare")

    @property
    def is_idle(self) -> bool:
        """Whether no lone call of what is not proven is under way, and nothing of it is to be compared."""
        return self._gathering.is_idle

    def predict(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline) -> Prediction:
        """Call a request of ``count`` rows alone. What it shows about joining is noted. Raises as ``Backend.predict``."""
        metrics.of_batches(kind.model.name).count_alone(count)
        self._records.take_news()
        record = self._records.of(kind)
        if record is not None and ((count <= record.most_rows and record.is_joined) or self._records.is_refused(record)):
            return self._call_alone(kind, inputs, count, deadline)
        member = Member(inputs, count, deadline.budget_s)
        trial = self._gathering.enter(kind, member, self._most_trials(record))
        try:
            member.answer = self._call_alone(kind, inputs, count, deadline)
        finally:
            if self._gathering.leave(kind, member, trial) and trial is not None:
                self._pool.submit(self._end, trial)
        return member.answer

    def note_rows(self, kind: Kind, prediction: Prediction, count: int) -> Record:
        """A call of ``count`` rows was answered: an output that has not one row for each is a verdict. Returns the record."""
        record = self._records.answered(kind, prediction.version)
        for name in rows.without_rows(prediction.outputs, count):
            self._records.refuse(record.model, record.version, record.signature, Difference(name, NOT_ROWS))
        return record

    def sample(self, kind: Kind, members: Sequence[Member], shared: Prediction) -> None:
        """Compare a shared call, which was answered, with lone calls of its members."""
        self._in_turn(kind, partial(self._compare_members, kind, members, shared))

    def _call(self, kind: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    def _call_alone(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline) -> Prediction:
        prediction = self._call(kind, inputs, deadline)
        self.note_rows(kind, prediction, count)
        return prediction

    def _most_trials(self, record: Record | None) -> int:
        """How many trials a kind may have at a time: as many as it needs, and none during a pause."""
        if record is None:
            return self._records.proofs
        return max(1, record.proofs_left) if time.monotonic() >= record.next_trial_s else 0

    def _end(self, trial: Trial) -> None:
        try:
            self._call_together(trial.kind, [member for member in trial.members if member.answer is not None])
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("batch.trial_failed", model=trial.kind.model.name)
            self._note_no_verdict(self._records.of(trial.kind), trial.kind.model.name)
        finally:
            self._gathering.end(trial)

    def _call_together(self, kind: Kind, members: list[Member]) -> None:
        """Make the shared call of a trial, if there is something to learn from it. Raises as ``Backend.predict``."""
        record = self._records.of(kind)
        if len(members) < 2 or record is None or self._records.is_refused(record):
            return
        inputs = rows.join([member.inputs for member in members])
        is_known = record.is_joined and _rows(members) <= record.most_rows
        if is_known or rows.are_equal(inputs) or _answered_bytes(members) > MOST_BYTES:
            return
        turn = next(self._turn) % (2 + strangers.KINDS)
        has_place = _rows(members) + strangers.COUNT <= self._max_rows
        if turn < strangers.KINDS and has_place and self._judge_beside_strangers(kind, members, inputs, turn):
            return
        if turn == strangers.KINDS:
            members = self._with_one_twice(members)
        inputs = rows.join([member.inputs for member in members])
        self._judge(kind, members, self._call(kind, inputs, _deadline(members)))

    def _judge_beside_strangers(self, kind: Kind, members: list[Member], inputs: Tensors, which: int) -> bool:
        """Compare the members beside rows that nobody sent; False when the model refuses such rows."""
        among = rows.join([inputs, strangers.beside(inputs, which)])
        try:
            shared = self._call(kind, among, _deadline(members))
        except (Unavailable, DeadlineExceeded):
            raise
        except GatewayError:
            return False
        self.note_rows(kind, shared, _rows(members) + strangers.COUNT)
        own = {name: array[: _rows(members)] for name, array in shared.outputs.items() if array.ndim}
        self._judge(kind, members, replace(shared, outputs=own))
        return True

    def _with_one_twice(self, members: list[Member]) -> list[Member]:
        """The members with the first again behind the last, where that fits.

        A model that sorts the rows, or drops equal ones, may by chance answer a few requests right; with one of them twice it
        cannot. (One that reverses them may then, so not every trial has one twice.)
        """
        longer = [*members, members[0]]
        return longer if _rows(longer) <= self._max_rows else members

    def grow(self, kind: Kind, members: Sequence[Member]) -> None:
        """Compare a larger call than was compared before with the answers that the requests in it got from smaller ones."""
        fitting = list(_fitting(members, self._max_rows))
        if len(fitting) > 1:
            self._in_turn(kind, partial(self._compare_larger, kind, fitting))

    def _in_turn(self, kind: Kind, compare: Callable[[], None]) -> None:
        """Make a comparison in a thread, unless enough of them are under way. One that fails says nothing."""

        def run() -> None:
            try:
                compare()
            except Exception as error:
                if not isinstance(error, GatewayError):
                    log.exception("batch.comparison_failed", model=kind.model.name)
                metrics.BATCH_PROOFS.labels(kind.model.name, "inconclusive").inc()
            finally:
                self._places.release()

        if self._places.acquire(blocking=False):
            self._pool.submit(run)

    def _compare_larger(self, kind: Kind, members: list[Member]) -> None:
        """Make a shared call of members that were answered."""
        inputs = rows.join([member.inputs for member in members])
        if not rows.are_equal(inputs) and _answered_bytes(members) <= MOST_BYTES:
            self._judge(kind, members, self._call(kind, inputs, _deadline(members)))

    def _compare_members(self, kind: Kind, members: Sequence[Member], shared: Prediction) -> None:
        """Make the lone calls of a shared one."""
        for member in members:
            member.answer = self._call(kind, member.inputs, _deadline([member]))
        self._judge(kind, members, shared)

    def _judge(self, kind: Kind, members: Sequence[Member], shared: Prediction) -> None:
        record = self._records.answered(kind, shared.version)
        answers = [member.answer for member in members if member.answer is not None]
        if any(answer.version != shared.version for answer in answers):
            self._note_no_verdict(record, kind.model.name)
            return
        found = comparison.difference(
            shared.outputs, [answer.outputs for answer in answers], [member.rows for member in members]
        )
        metrics.BATCH_PROOFS.labels(kind.model.name, "different" if found else "equal").inc()
        if found:
            self._records.refuse(record.model, record.version, record.signature, found)
        else:
            record.failed_trials = 0
            self._records.count_proof(record, _rows(members))

    def _note_no_verdict(self, record: Record | None, model: str) -> None:
        metrics.BATCH_PROOFS.labels(model, "inconclusive").inc()
        if record is not None:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**record.failed_trials)
            record.next_trial_s = time.monotonic() + pause_s
            record.failed_trials += pause_s < _LONGEST_PAUSE_S


def _rows(members: Sequence[Member]) -> int:
    return sum(member.rows for member in members)


def _fitting(members: Sequence[Member], max_rows: int) -> Iterator[Member]:
    """The first members, as far as they have ``max_rows`` rows together."""
    total = 0
    for member in members:
        total += member.rows
        if total > max_rows:
            return
        yield member


def _answered_bytes(members: Sequence[Member]) -> int:
    answers = [member.answer for member in members if member.answer is not None]
    return sum(array.nbytes for answer in answers for array in answer.outputs.values())


def _deadline(members: Sequence[Member]) -> Deadline:
    return Deadline.after(max(member.budget_s for member in members))
