"""Joins requests that arrive while the backend is busy into one call, where that is proven to change no answer.

Always holds: a request's answer and its error never depend on what shared its batch.

- Only requests of one key share a batch: model, version asked for, signature, shapes but for dimension 0, outputs.
- They share one only once the signature has earned it (``record``), and get the rows of one only while it still has, in the
  version that answered. All others are called alone (``trials``).
- A batch that the backend refuses, or that does not come back with one row for each row sent, is taken apart: every member is
  then called alone.
- Nobody waits longer than its own deadline, and one that gives up leaves its batch-mates as they were.
- With nothing in flight a request goes at once; what arrives meanwhile becomes the next batch. The queue is bounded.

The calls are made by threads of the batcher, one for each lane that has something to do. A request only waits, in whatever way
requests wait here, so that each can give up.
"""

import copy
import fnmatch
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

from gateway import waiting
from gateway.deadline import Deadline
from gateway.errors import GatewayError, Unavailable
from gateway.inference.batching import rows as row_wise
from gateway.inference.batching.batch_calls import BatchCalls, Outcome
from gateway.inference.batching.lane import Lane, Member, State
from gateway.inference.batching.record import Kind, Records
from gateway.inference.batching.trials import Trials
from gateway.inference.predictor import Backend
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, Tensors
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("batcher")

# Calls of shared batches at a time; more of them wait for one to end, within their members' deadlines.
_CARRIERS = 32


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """``max_rows`` of a batch, ``max_queued_rows`` waiting over all keys, ``max_in_flight`` batches of one key.

    ``max_wait_s``: how long a batch that follows a shared one waits for company, unless it is as large as that one before.
    ``sample_every``: one shared batch in so many is compared again with its members' own calls; 0: none is.
    ``never``: patterns, as of a shell, of the models that are never joined.
    """

    max_rows: int
    max_wait_s: float
    max_in_flight: int
    max_queued_rows: int
    sample_every: int = 0
    never: tuple[str, ...] = ()


class Batcher:
    """A backend that batches the calls of another one. Thread-safe."""

    def __init__(self, backend: Backend, limits: BatchLimits, records: Records) -> None:
        self._backend = backend
        self._limits = limits
        self._records = records
        self._trials = Trials(backend, records, limits.max_rows)
        self._is_never_joined = lru_cache(1024)(partial(_matches, limits.never))
        self._calls = BatchCalls(backend, records, self._trials, limits.max_rows, limits.sample_every)
        self._lock = threading.Lock()
        self._carriers = ThreadPoolExecutor(_CARRIERS, "batch")
        self._lanes: dict[object, Lane] = {}
        self._queued_rows = 0

    def predict(
        self, model: ModelRef, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        """As ``Backend.predict``, and Unavailable at once when the queue is full."""
        call = Kind(model, signature, outputs)
        count = row_wise.count(signature, inputs)
        if count is None or count > self._limits.max_rows or self._is_never_joined(model.name):
            return self._alone(call, inputs, deadline)
        record = self._records.of(call)
        if record is None or not record.is_joined or count > record.most_rows:
            return self._trials.predict(call, inputs, count, deadline)
        member = Member(inputs, count, deadline)
        lane = self._join(call, member, min(self._limits.max_rows, record.most_rows))
        if not member.done.wait(deadline.at_s - time.monotonic()):
            self._give_up(lane, member)
        if member.outcome is None:
            return self._trials.predict(call, inputs, count, deadline)
        if isinstance(member.outcome, GatewayError):
            # Not the one instance for all: each thread puts its own traceback on what it raises.
            raise copy.copy(member.outcome)
        return member.outcome

    def why_not_joined(self, served: ServedModel, signature: Signature) -> str | None:
        """Why requests for this signature of a version are never joined; None when they are, or will be once it is proven."""
        if self._is_never_joined(served.name):
            return "GATEWAY_BATCH_OFF names the model"
        return signature.not_joinable or self._records.verdict(served.name, served.version, signature.name)

    def _alone(self, call: Kind, inputs: Tensors, deadline: Deadline) -> Prediction:
        return self._backend.predict(call.model, call.signature, inputs, call.outputs, deadline)

    def _join(self, call: Kind, member: Member, most_rows: int) -> Lane:
        """Take a place in the queue, and see to it that a batch is sent when one may be in flight."""
        key = (call, row_wise.layout(member.inputs))
        with self._lock:
            # Alone it may be larger than the bound, or it would be refused for ever.
            if self._queued_rows and self._queued_rows + member.rows > self._limits.max_queued_rows:
                metrics.BATCH_REFUSALS.inc()
                error = Unavailable("too many requests are waiting for the model")
                raise error.decided_by("GATEWAY_BATCH_MAX_QUEUED_ROWS", self._limits.max_queued_rows)
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane()
            lane.hub = lane.hub or waiting.here()
            lane.most_rows = most_rows
            lane.waiting.append(member)
            lane.queued_rows += member.rows
            self._queued_rows += member.rows
            is_full = lane.queued_rows >= lane.most_rows
            if lane.queued_rows >= lane.enough_rows:
                lane.has_enough.set()
            may_go = lane.in_flight < self._limits.max_in_flight and (is_full or not lane.is_called_for)
            lane.is_called_for = lane.is_called_for or may_go
        if not may_go:
            return lane
        if is_full or lane.hub is None:
            self._start(call, key, lane, "idle")
        else:
            start = partial(lane.hub.when_idle, partial(self._start, call, key, lane, "idle"), self._limits.max_wait_s)
            if waiting.here() is lane.hub:
                start()
            else:  # the hub's own thread must learn of it, and may be asleep
                lane.hub.soon(start)
        return lane

    def _start(self, call: Kind, key: object, lane: Lane, reason: str) -> None:
        """Send a batch, if one may be in flight."""
        with self._lock:
            lane.is_called_for = False
            if not lane.waiting or lane.in_flight >= self._limits.max_in_flight:
                self._forget_if_unused(key, lane)
                return
            lane.in_flight += 1
        self._carriers.submit(self._serve, call, key, lane, reason)

    def _forget_if_unused(self, key: object, lane: Lane) -> None:
        if not (lane.in_flight or lane.waiting or lane.is_called_for):
            self._lanes.pop(key, None)

    def _dequeue(self, lane: Lane, member: Member) -> None:
        lane.waiting.remove(member)
        lane.queued_rows -= member.rows
        self._queued_rows -= member.rows

    def _give_up(self, lane: Lane, member: Member) -> None:
        """Leave the others as they are. Raises DeadlineExceeded, unless the outcome came at the very moment."""
        with self._lock:
            if member.state is State.DONE:
                return
            if member.state is State.WAITING:
                self._dequeue(lane, member)
            member.state = State.GONE
        raise member.deadline.exceeded()

    def _serve(self, call: Kind, key: object, lane: Lane, reason: str) -> None:
        """Carry a batch, and see to the next one."""
        while batch := self._board(lane):
            self._carry(call, lane, batch, reason)
            reason = "next"
            if lane.hub is not None or len(self._lanes) > _CARRIERS:
                break
            self._await_company(lane)
        self._pass_on(call, key, lane)

    def _await_company(self, lane: Lane) -> None:
        """Under load, let the next batch become as large as the last."""
        if lane.is_shared:
            lane.has_enough.wait(self._limits.max_wait_s)

    def _pass_on(self, call: Kind, key: object, lane: Lane) -> None:
        """This batch is done: whoever waits by now is next."""
        start = partial(self._start, call, key, lane, "next")
        with self._lock:
            lane.in_flight -= 1
            must_go = bool(lane.waiting) and not lane.is_called_for
            lane.is_called_for = lane.is_called_for or must_go
            self._forget_if_unused(key, lane)
        if must_go and lane.hub is not None:
            lane.hub.soon(partial(lane.hub.when_idle, start, self._limits.max_wait_s))
        elif must_go:
            start()

    def _board(self, lane: Lane) -> list[Member]:
        """Those who wait, in their order, as far as they fit in."""
        batch: list[Member] = []
        total = 0
        with self._lock:
            while lane.waiting and (not batch or total + lane.waiting[0].rows <= lane.most_rows):
                member = lane.waiting[0]
                self._dequeue(lane, member)
                member.state = State.ABOARD
                batch.append(member)
                total += member.rows
            lane.is_shared = len(batch) > 1
            lane.enough_rows = min(total, lane.most_rows) or 1
            if lane.queued_rows < lane.enough_rows:
                lane.has_enough.clear()
        return batch

    def _carry(self, call: Kind, lane: Lane, batch: list[Member], reason: str) -> None:
        """Make the call of a batch, and land it whatever happens: with no outcome, each member is called alone."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        shared: Prediction | None = None
        try:
            outcomes, shared = self._calls.run(call, batch, reason)
        except Exception:  # a batch must not be lost to whatever nobody foresaw
            log.exception("batch.failed", model=call.model.name, requests=len(batch))
        finally:
            self._land(batch, outcomes)
        if shared is not None:
            self._calls.sample(call, batch, shared)
            self._grow(call, lane, batch)

    def _grow(self, call: Kind, lane: Lane, batch: list[Member]) -> None:
        """After two limited batches in a row, have a call of both compared, so that later batches may have more rows."""
        with self._lock:
            is_limited = lane.most_rows < self._limits.max_rows and bool(lane.waiting)
            before, lane.limited = lane.limited, []
            if is_limited and not before:
                lane.limited = batch
        if is_limited and before:
            self._calls.grow(call, [*before, *batch])

    def _land(self, batch: list[Member], outcomes: list[Outcome | None]) -> None:
        with self._lock:
            for member, outcome in zip(batch, outcomes, strict=True):
                if member.state is not State.GONE:
                    member.state, member.outcome = State.DONE, outcome
        for member in batch:
            member.done.set()


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
