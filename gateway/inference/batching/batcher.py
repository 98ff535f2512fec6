"""Joins requests that arrive while the backend is busy into one call, where that is proven to change no answer.

Always holds: a request's answer and its error never depend on what shared its batch.

- Only requests of one key share a batch: model, version asked for, signature, shapes but for dimension 0, outputs.
- They share one only once the signature has earned it (``records``), and get the rows of one only while it still has, in the
  version that answered. All others are called alone (``trials``).
- A batch that the backend refuses is halved until only those are refused that are refused alone. When an answer does not have
  one row for each row sent, each request is called alone.
- No request waits longer than its own deadline. One that is given up, by its deadline or by its client, leaves the others of
  its batch as they were.
- With nothing in flight a request is sent at once, with all that arrives in the same turn of the event loop. What arrives while
  a batch is in flight becomes the next one, which is sent when that one has ended, or is full. The queue is bounded.
- What waits to be called alone joins a batch as soon as its signature is proven.
"""

import asyncio
import copy
import fnmatch
from functools import lru_cache, partial

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.backend import Backend
from gateway.inference.batching.dispatcher import Dispatcher
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.queue import Entry
from gateway.inference.batching.record import Kind, ServedSignature
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import row_count
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.spans import Spans


class Batcher:
    """A backend that batches the calls of another one. For one event loop."""

    def __init__(self, backend: Backend, limits: BatchLimits, records: Records) -> None:
        self._backend = backend
        self._max_rows = limits.max_rows
        self._records = records
        self._is_never_joined = lru_cache(1024)(partial(_matches, limits.never))
        self._kind = lru_cache(1024)(Kind)  # one value for equal ones, which are found sooner by it
        self._dispatcher = Dispatcher(backend, limits, records)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def predict(
        self,
        model: ModelRef,
        signature: Signature,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: Deadline,
        *,
        spans: Spans = (),
    ) -> Prediction:
        """As ``Backend.predict``, and Unavailable at once when the queue is full."""
        kind = self._kind(model, signature, outputs)
        count = row_count(signature, inputs)
        if count is None or count > self._max_rows or self._is_never_joined(model.name):
            return await self._backend.predict(model, signature, inputs, outputs, deadline, spans=spans)
        record = self._records.of(kind)
        if record.is_refused:
            return await self._call_alone(kind, inputs, count, deadline, spans)
        if self._loop is None:
            # Kept, because under Python 3.11 each look for it is a call of the system.
            self._loop = asyncio.get_running_loop()
        entry = Entry(inputs, count, deadline, self._loop.create_future(), spans)
        queue = self._dispatcher.enter(kind, entry, record)
        try:
            outcome = await entry.outcome
            if outcome is None:
                self._dispatcher.begin_alone(queue, entry)
                outcome = entry.answer = await self._call_alone(kind, inputs, count, deadline, spans)
        finally:
            self._dispatcher.leave(queue, entry)
        if isinstance(outcome, GatewayError):
            # Not the one instance for all: raising it puts a traceback on it, which holds the frame of its request.
            raise copy.copy(outcome)
        return outcome

    def why_not_joined(self, served: ServedModel, signature: Signature) -> str | None:
        """Why requests for this signature of a version are never joined; None when they are, or will be once it is proven."""
        if self._is_never_joined(served.name):
            return "GATEWAY_BATCH_OFF names the model"
        return signature.not_joinable or self._records.verdict(ServedSignature(served.name, served.version, signature.name))

    async def close(self) -> None:
        """End the batches and comparisons that are under way. What still waits is called alone."""
        await self._dispatcher.close()

    async def _call_alone(self, kind: Kind, inputs: Tensors, count: int, deadline: Deadline, spans: Spans) -> Prediction:
        metrics.of_batches(kind.model.name).count_alone(count)
        self._records.take_news()
        prediction = await self._backend.predict(kind.model, kind.signature, inputs, kind.outputs, deadline, spans=spans)
        self._records.note_answer(kind, prediction, count)
        return prediction


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
