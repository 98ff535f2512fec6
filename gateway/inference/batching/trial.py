"""Compares shared calls with lone ones, so that no request waits for it or gets its answer from it.

Until a signature is proven, each of its requests is called alone, at once. Those that come while another of their layout is at
the model server, and so would share a call if they were joined, make a trial: when all of them are answered they are called
once more, together, by a thread of the trials, and compared. A model under light load has no trials and so no further calls.

Later, a sample of the shared calls is compared again after it was answered.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway import metrics
from gateway.errors import GatewayError
from gateway.inference.batching import comparison, rows
from gateway.inference.batching.comparison import NOT_ROWS, Difference
from gateway.inference.batching.record import Kind, Record, Records
from gateway.inference.deadline import Deadline
from gateway.inference.predictor import Backend
from gateway.inference.signature import Prediction, Tensors
from gateway.logs import logger

log = logger("batching")

# Comparisons that one worker makes at a time, and trials that it holds at a time.
_THREADS: Final = 2
_MOST_TRIALS: Final = 8

# Requests that take part in one trial: with more of them a new version would take longer to be proven.
_MOST_MEMBERS: Final = 16

# What one trial may hold of inputs, and of outputs. Larger requests prove nothing, and are called alone until others did.
_MOST_BYTES: Final = 32 * 2**20

# After a trial without a verdict: how long until the next, doubled each time up to the longest, so that a model that refuses
# each shared call is not called in vain for ever.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 60.0

Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(slots=True, eq=False)
class Member:
    """A request of a trial, and the answer that it got alone: None when it has none yet or got an error."""

    inputs: Tensors
    rows: int
    budget_s: float
    answer: Prediction | None = None


@dataclass(slots=True, eq=False)
class _Trial:
    """Requests that would have shared a call. It takes more of them until the first is answered."""

    members: list[Member] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    unanswered: int = 0
    is_open: bool = True

    def has_place_for(self, member: Member, size: int, max_rows: int) -> bool:
        """Whether a request of ``size`` bytes still fits in."""
        is_small = self.rows + member.rows <= max_rows and self.bytes + size <= _MOST_BYTES
        return is_small and len(self.members) < _MOST_MEMBERS

    def add(self, member: Member, size: int) -> None:
        """Let a request take part."""
        self.members.append(member)
        self.rows += member.rows
        self.bytes += size
        self.unanswered += 1


@dataclass(slots=True, eq=False)
class _Group:
    """The lone calls of one kind and layout that are under way, and their trial if there is one."""

    in_flight: int = 0
    trial: _Trial | None = None


class Trials:
    """Makes the calls of what is not proven yet, and the comparisons. Thread-safe."""

    def __init__(self, backend: Backend, records: Records, max_rows: int) -> None:
        self._backend = backend
        self._records = records
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._groups: dict[tuple[Kind, Layout], _Group] = {}
        self._held = 0
        self._samples = threading.BoundedSemaphore(_THREADS)
        self._pool = ThreadPoolExecutor(_THREADS, "compare")

    def predict(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline) -> Prediction:
        """Call a request of ``count`` rows alone. What it shows about joining is noted. Raises as ``Backend.predict``."""
        metrics.of_batches(kind.model.name).count_alone(count)
        self._records.take_news()
        record = self._records.of(kind)
        if record is not None and (record.is_joined or self._records.is_refused(record)):
            prediction = self._alone(kind, inputs, deadline)
            self.note_rows(kind, prediction, count)
            return prediction
        key = (kind, rows.layout(inputs))
        member = self._enter(key, record, Member(inputs, count, deadline.budget_s))
        try:
            prediction = self._alone(kind, inputs, deadline)
            self.note_rows(kind, prediction, count)
            if member is not None:
                member.answer = prediction
        finally:
            self._leave(key, member)
        return prediction

    def note_rows(self, kind: Kind, prediction: Prediction, count: int) -> Record:
        """A call of ``count`` rows was answered: an output that has not one row for each is a verdict. Returns the record."""
        record = self._records.answered(kind, prediction.version)
        without = rows.without_rows(prediction.outputs, count)
        if without:
            self._records.refuse(record, Difference(without[0], NOT_ROWS))
        return record

    def sample(self, kind: Kind, members: Sequence[Member], shared: Prediction) -> None:
        """Compare a shared call, which was answered, with lone calls of its members; unless such samples are under way."""
        if self._samples.acquire(blocking=False):
            self._pool.submit(self._call_members, kind, members, shared)

    def _alone(self, kind: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    def _enter(self, key: tuple[Kind, Layout], record: Record | None, member: Member) -> Member | None:
        """Count a lone call; ``member`` when it takes part in a trial."""
        size = sum(array.nbytes for array in member.inputs.values())
        with self._lock:
            group = self._groups.setdefault(key, _Group())
            group.in_flight += 1
            if group.trial is None and group.in_flight > 1 and self._may_begin(record):
                group.trial = _Trial()
                self._held += 1
            trial = group.trial
            if trial is None or not trial.is_open:
                return None
            if not trial.has_place_for(member, size, self._max_rows):
                self._drop_if_empty(group)
                return None
            trial.add(member, size)
        return member

    def _may_begin(self, record: Record | None) -> bool:
        is_due = record is None or time.monotonic() >= record.next_trial_s
        return is_due and self._held < _MOST_TRIALS

    def _drop_if_empty(self, group: _Group) -> None:
        if group.trial is not None and not group.trial.members:
            group.trial = None
            self._held -= 1

    def _leave(self, key: tuple[Kind, Layout], member: Member | None) -> None:
        """A lone call has ended. The last one of a trial has the trial compared."""
        with self._lock:
            group = self._groups[key]
            group.in_flight -= 1
            trial = group.trial if member is not None else None
            if trial is not None:
                trial.is_open = False
                trial.unanswered -= 1
            self._forget_if_unused(key, group)
        if trial is not None and trial.unanswered == 0:
            self._pool.submit(self._end_trial, key, trial)

    def _forget_if_unused(self, key: tuple[Kind, Layout], group: _Group) -> None:
        if not group.in_flight and group.trial is None:
            self._groups.pop(key, None)

    def _end_trial(self, key: tuple[Kind, Layout], trial: _Trial) -> None:
        kind, _ = key
        try:
            self._call_together(kind, [member for member in trial.members if member.answer is not None])
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("batch.trial_failed", model=kind.model.name)
            self._note_no_verdict(self._records.of(kind), kind.model.name)
        finally:
            with self._lock:
                group = self._groups[key]
                group.trial = None
                self._held -= 1
                self._forget_if_unused(key, group)

    def _call_together(self, kind: Kind, members: Sequence[Member]) -> None:
        """Make the shared call of a trial, if there is something to learn from it. Raises as ``Backend.predict``."""
        record = self._records.of(kind)
        if len(members) < 2 or record is None or record.is_joined or self._records.is_refused(record):
            return
        inputs = rows.join([member.inputs for member in members])
        if rows.are_equal(inputs) or _size(members) > _MOST_BYTES:
            return
        self._judge(kind, members, self._alone(kind, inputs, _deadline(members)))

    def _call_members(self, kind: Kind, members: Sequence[Member], shared: Prediction) -> None:
        """Make the lone calls of a shared one."""
        try:
            for member in members:
                member.answer = self._alone(kind, member.inputs, _deadline([member]))
            self._judge(kind, members, shared)
        except GatewayError:
            metrics.BATCH_PROOFS.labels(kind.model.name, "inconclusive").inc()
        except Exception:
            log.exception("batch.sample_failed", model=kind.model.name)
        finally:
            self._samples.release()

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
            self._records.refuse(record, found)
        else:
            record.failed_trials = 0
            self._records.count_proof(record)

    def _note_no_verdict(self, record: Record | None, model: str) -> None:
        metrics.BATCH_PROOFS.labels(model, "inconclusive").inc()
        if record is not None:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**record.failed_trials)
            record.next_trial_s = time.monotonic() + pause_s
            record.failed_trials += pause_s < _LONGEST_PAUSE_S


def _size(members: Sequence[Member]) -> int:
    """Bytes of their answers."""
    answers = [member.answer for member in members if member.answer is not None]
    return sum(array.nbytes for answer in answers for array in answer.outputs.values())


def _deadline(members: Sequence[Member]) -> Deadline:
    return Deadline.after(max(member.budget_s for member in members))
