"""The calls of batches: one for each batch, and the rows of its answer handed out where that is proven to be right."""

import copy
import threading
import time
from dataclasses import replace
from typing import TypeAlias

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.batching import rows, trial
from gateway.inference.batching.lane import Member
from gateway.inference.batching.record import Kind, Records
from gateway.inference.batching.trials import Trials
from gateway.inference.predictor import Backend
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry import metrics

# What tells something of the backend and nothing of what was sent: alone, the members would only hear it again.
_NOT_OF_THE_CONTENT = (Unavailable, DeadlineExceeded)

Outcome: TypeAlias = Prediction | GatewayError


class BatchCalls:
    """Calls ``backend`` for a batch of at most ``max_rows``. Thread-safe.

    One shared call in ``sample_every`` is one to be compared again (0: none is).
    """

    def __init__(self, backend: Backend, records: Records, trials: Trials, max_rows: int, sample_every: int) -> None:
        self._backend = backend
        self._records = records
        self._trials = trials
        self._max_rows = max_rows
        self._sample_every = sample_every
        self._until_sample = sample_every
        self._lock = threading.Lock()

    def run(self, kind: Kind, batch: list[Member], reason: str) -> tuple[list[Outcome | None], Prediction | None]:
        """The outcome for each member, None for one that must be called alone; and the answer that was shared, if one was.

        ``reason`` says why the batch is sent, for the metrics.
        """
        if len(batch) == 1:
            self._measure(kind.model.name, batch, reason)
            return [self._run_one(kind, batch[0])], None
        if not self._may_share(kind):
            return [None] * len(batch), None
        self._measure(kind.model.name, batch, reason)
        return self._run_shared(kind, batch)

    def sample(self, kind: Kind, batch: list[Member], shared: Prediction) -> None:
        """Compare a batch that was answered by ``shared``, if it is its turn."""
        if self._is_sample():
            self._trials.sample(kind, [_member(member) for member in batch], shared)

    def grow(self, kind: Kind, members: list[Member]) -> None:
        """Compare a larger call with what the members of two batches were answered."""
        self._trials.grow(kind, [_member(member) for member in members if isinstance(member.outcome, Prediction)])

    def _may_share(self, kind: Kind) -> bool:
        """Whether the requests may still share a call: there may be a verdict since they came."""
        self._records.take_news()
        record = self._records.of(kind)
        return record is not None and record.is_joined

    def _is_sample(self) -> bool:
        """Whether this shared batch is one to be compared."""
        if not self._sample_every:
            return False
        with self._lock:
            self._until_sample -= 1
            is_due = self._until_sample <= 0
            if is_due:
                self._until_sample = self._sample_every
        return is_due

    def _run_one(self, kind: Kind, member: Member) -> Outcome:
        started_s = time.perf_counter()
        try:
            prediction = self._call(kind, member.inputs, member.deadline)
        except GatewayError as error:
            return copy.copy(error)  # which does not hold this frame and with it what was sent
        self._trials.note_rows(kind, prediction, member.rows)
        return replace(prediction, queue_s=started_s - member.arrived_s)

    def _run_shared(self, kind: Kind, batch: list[Member]) -> tuple[list[Outcome | None], Prediction | None]:
        started_s = time.perf_counter()
        alone: list[Outcome | None] = [None] * len(batch)
        deadline = max((member.deadline for member in batch), key=lambda deadline: deadline.at_s)
        try:
            whole = self._call(kind, rows.join([member.inputs for member in batch]), deadline)
        except _NOT_OF_THE_CONTENT as error:
            return [copy.copy(error)] * len(batch), None
        except GatewayError:
            return alone, None
        sizes = [member.rows for member in batch]
        record = self._trials.note_rows(kind, whole, sum(sizes))
        self._records.take_news()
        parts = rows.split(whole.outputs, sizes)
        # Another version may have answered than the one that is proven for so many rows, or there is a verdict by now.
        if parts is None or not record.is_joined or sum(sizes) > record.most_rows:
            return alone, None
        outcomes: list[Outcome | None] = [
            Prediction(whole.model, whole.version, whole.signature, part, started_s - member.arrived_s, is_shared=True)
            for part, member in zip(parts, batch, strict=True)
        ]
        return outcomes, whole

    def _call(self, kind: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    def _measure(self, model: str, batch: list[Member], reason: str) -> None:
        of_batches = metrics.of_batches(model)
        of_batches.queue_seconds.observe(time.perf_counter() - batch[0].arrived_s)
        count = sum(member.rows for member in batch)
        of_batches.rows.observe(count)
        of_batches.requests.observe(len(batch))
        of_batches.sent["full" if count >= self._max_rows else reason].inc()


def _member(member: Member) -> trial.Member:
    answer = member.outcome if isinstance(member.outcome, Prediction) else None
    return trial.Member(member.inputs, member.rows, member.deadline.budget_s, answer)
