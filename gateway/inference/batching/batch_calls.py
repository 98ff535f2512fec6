"""The calls of batches: one for each batch, and the rows of its answer handed out where that is proven to be right.

A batch that the backend refuses is halved, and each half is called again, until only those are refused that are refused alone.
"""

import copy
import time
from collections import deque
from dataclasses import replace
from typing import Final

from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching.comparisons import Comparisons
from gateway.inference.batching.queue import Entry
from gateway.inference.batching.record import Kind
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import joined_rows, split_rows
from gateway.inference.signature import Prediction
from gateway.telemetry import metrics

# What tells something of the backend and nothing of what was sent: alone, the requests would only be told it again.
_NOT_OF_THE_CONTENT = (Unavailable, DeadlineExceeded)

# Halves are called until as many requests as this can have been found. When more of them are at fault, as when a model fails
# whatever it is sent, it takes fewer calls to call each alone.
_MOST_GUILTY: Final = 2


class BatchCalls:
    """Calls ``backend`` for batches of at most ``max_rows``."""

    def __init__(self, backend: Backend, records: Records, comparisons: Comparisons, max_rows: int) -> None:
        self._backend = backend
        self._records = records
        self._comparisons = comparisons
        self._max_rows = max_rows

    async def run(self, kind: Kind, batch: list[Entry], reason: str) -> list[Entry]:
        """Call a batch and settle its entries. Those that are left unsettled must be called alone.

        Returns those of them whose shared answer is not handed out because it is not proven for the version that gave it.
        ``reason`` says why the batch is sent, for the metrics.
        """
        unproven: list[Entry] = []
        groups = deque([batch])
        calls_left = 1 + 2 * _MOST_GUILTY * (len(batch) - 1).bit_length()
        while groups and calls_left:
            group = [entry for entry in groups.popleft() if not entry.outcome.done()]
            if not group or not self._may_be_sent(kind, group):
                continue
            calls_left -= 1
            self._measure(kind.model.name, group, reason)
            reason = "half"
            try:
                unproven += self._hand_out(kind, group, await self._call(kind, group))
            except GatewayError as error:
                if len(group) > 1 and not isinstance(error, _NOT_OF_THE_CONTENT):
                    middle = (len(group) + 1) // 2
                    groups += [group[:middle], group[middle:]]
                    continue
                told = copy.copy(error)  # which does not hold this frame and with it what was sent
                for entry in group:
                    entry.settle(told)
        return unproven

    def _may_be_sent(self, kind: Kind, group: list[Entry]) -> bool:
        """Whether the entries may still share a call: there may be a verdict since they came."""
        if len(group) == 1:
            return True
        self._records.take_news()
        return self._records.of(kind).is_joined

    async def _call(self, kind: Kind, group: list[Entry]) -> Prediction:
        inputs = joined_rows([entry.inputs for entry in group])
        # Entries whose own deadline comes first are told so by then.
        deadline = max((entry.deadline for entry in group), key=lambda deadline: deadline.at_s)
        spans = tuple([span for entry in group for span in entry.spans])
        return await self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline, spans=spans)

    def _hand_out(self, kind: Kind, group: list[Entry], whole: Prediction) -> list[Entry]:
        """Give each entry its rows of an answer; those that are not proven for the version that answered are returned."""
        sizes = [entry.rows for entry in group]
        rows = sum(sizes)
        record = self._records.note_answer(kind, whole, rows)
        if len(group) == 1:
            group[0].settle(replace(whole, queue_s=group[0].sent_s - group[0].arrived_s))
            return []
        self._records.take_news()
        parts = split_rows(whole.outputs, sizes)
        if parts is None:
            return []
        if not record.is_joined or rows > record.most_rows:
            return group
        for entry, part in zip(group, parts, strict=True):
            queue_s = entry.sent_s - entry.arrived_s
            entry.settle(Prediction(whole.model, whole.version, whole.signature, part, queue_s, rows))
        self._comparisons.compare_sample(kind, group, whole)
        return []

    def _measure(self, model: str, group: list[Entry], reason: str) -> None:
        of_batches = metrics.of_batches(model)
        count = sum(entry.rows for entry in group)
        of_batches.queue_seconds.observe(time.perf_counter() - group[0].arrived_s)
        of_batches.rows.observe(count)
        of_batches.requests.observe(len(group))
        of_batches.sent["full" if count >= self._max_rows else reason].inc()
