"""The calls of batches: one for each batch, and the rows of its answer handed out where that is proven to be right.

A batch that the backend refuses is halved, and each half is called again, until only those are refused that are refused alone.
"""

import copy
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching import rows
from gateway.inference.batching.queue import Entry
from gateway.inference.batching.record import Kind, Records
from gateway.inference.batching.trial import Request
from gateway.inference.batching.trials import Trials
from gateway.inference.signature import Prediction, Tensors
from gateway.telemetry import metrics

# What tells something of the backend and nothing of what was sent: alone, the requests would only be told it again.
_NOT_OF_THE_CONTENT = (Unavailable, DeadlineExceeded)

# Halves are called until as many requests as this can have been found. When more of them are at fault, as when a model fails
# whatever it is sent, it takes fewer calls to call each alone.
_MOST_GUILTY: Final = 2


@dataclass(slots=True)
class Ended:
    """How a batch ended.

    ``shared``: the entries that shared a call last, and its answer. ``unproven``: those whose shared answer could not be handed
    out, because it is not proven for the version that gave it.
    """

    shared: tuple[list[Entry], Prediction] | None = None
    unproven: list[Entry] = field(default_factory=list)


class BatchCalls:
    """Calls ``backend`` for batches of at most ``max_rows``.

    One shared call in ``sample_every`` is one to be compared again (0: none is).
    """

    def __init__(self, backend: Backend, records: Records, trials: Trials, max_rows: int, sample_every: int) -> None:
        self._backend = backend
        self._records = records
        self._trials = trials
        self._max_rows = max_rows
        self._sample_every = sample_every
        self._until_sample = sample_every

    async def run(self, kind: Kind, batch: list[Entry], reason: str) -> Ended:
        """Call a batch and settle its entries. Those that are left unsettled must be called alone.

        ``reason`` says why the batch is sent, for the metrics.
        """
        ended = Ended()
        groups = deque([batch])
        calls_left = 1 + 2 * _MOST_GUILTY * (len(batch) - 1).bit_length()
        while groups and calls_left:
            group = [entry for entry in groups.popleft() if not entry.outcome.done()]
            if not group or not self._may_be_sent(kind, group):
                continue
            calls_left -= 1
            self._measure(kind.model.name, group, reason)
            if not await self._run_group(kind, group, ended):
                middle = (len(group) + 1) // 2
                groups += [group[:middle], group[middle:]]
            reason = "half"
        return ended

    def sample(self, kind: Kind, batch: list[Entry], shared: Prediction) -> None:
        """Compare a batch that was answered by ``shared``, if it is its turn."""
        if self._is_sample():
            requests = [Request(entry.inputs, entry.rows, entry.deadline.budget_s) for entry in batch]
            self._trials.sample(kind, requests, shared)

    def grow(self, kind: Kind, entries: list[Entry]) -> None:
        """Compare a larger call with what the entries of two batches were answered."""
        requests = [Request(entry.inputs, entry.rows, entry.deadline.budget_s, entry.answer) for entry in entries]
        self._trials.grow(kind, [request for request in requests if request.answer is not None])

    def _may_be_sent(self, kind: Kind, group: list[Entry]) -> bool:
        """Whether the entries may still share a call: there may be a verdict since they came."""
        if len(group) == 1:
            return True
        self._records.take_news()
        record = self._records.of(kind)
        return record is not None and record.is_joined

    def _is_sample(self) -> bool:
        """Whether this shared batch is one to be compared."""
        if not self._sample_every:
            return False
        self._until_sample -= 1
        is_due = self._until_sample <= 0
        if is_due:
            self._until_sample = self._sample_every
        return is_due

    async def _run_group(self, kind: Kind, group: list[Entry], ended: Ended) -> bool:
        """Call a batch or a part of one; False when it was refused and must be halved."""
        inputs = rows.join([entry.inputs for entry in group])
        # Entries whose own deadline comes first are told so by then.
        deadline = max((entry.deadline for entry in group), key=lambda deadline: deadline.at_s)
        try:
            whole = await self._call(kind, inputs, deadline)
        except GatewayError as error:
            if len(group) > 1 and not isinstance(error, _NOT_OF_THE_CONTENT):
                return False
            told = copy.copy(error)  # which does not hold this frame and with it what was sent
            for entry in group:
                entry.settle(told)
            return True
        if len(group) == 1:
            self._trials.note_rows(kind, whole, group[0].rows)
            group[0].settle(replace(whole, queue_s=group[0].sent_s - group[0].arrived_s))
        else:
            self._hand_out(kind, group, whole, ended)
        return True

    def _hand_out(self, kind: Kind, group: list[Entry], whole: Prediction, ended: Ended) -> None:
        """Give each entry its rows of an answer, if that is proven to be right for the version that answered."""
        sizes = [entry.rows for entry in group]
        record = self._trials.note_rows(kind, whole, sum(sizes))
        self._records.take_news()
        parts = rows.split(whole.outputs, sizes)
        if parts is None:
            return
        if not record.is_joined or sum(sizes) > record.most_rows:
            ended.unproven += group
            return
        for entry, part in zip(group, parts, strict=True):
            queue_s = entry.sent_s - entry.arrived_s
            entry.settle(Prediction(whole.model, whole.version, whole.signature, part, queue_s, is_shared=True))
        ended.shared = group, whole

    async def _call(self, kind: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return await self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline)

    def _measure(self, model: str, group: list[Entry], reason: str) -> None:
        of_batches = metrics.of_batches(model)
        count = sum(entry.rows for entry in group)
        of_batches.queue_seconds.observe(time.perf_counter() - group[0].arrived_s)
        of_batches.rows.observe(count)
        of_batches.requests.observe(len(group))
        of_batches.sent["full" if count >= self._max_rows else reason].inc()
