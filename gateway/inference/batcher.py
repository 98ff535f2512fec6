"""Joins requests that arrive while the backend is busy into one call, so that nobody can tell.

Always holds: a request's answer and its error never depend on what shared its batch.

- Only requests of one key share a batch: model, version asked for, signature, shapes but for dimension 0, outputs.
- A batch that the backend refuses, or that does not come back with one row for each row sent, is taken apart: every member is
  then called alone.
- Nobody waits longer than its own deadline, and one that gives up leaves its batch-mates as they were.
- With nothing in flight a request goes at once; what arrives meanwhile becomes the next batch. The queue is bounded.

Whoever opens a batch sees to its call, and the first who waits takes over after it; a call that several share is made by a
thread of the batcher, so that each of them can leave.
"""

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from gateway import metrics
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference import rows as row_wise
from gateway.inference.deadline import Deadline
from gateway.inference.lane import Lane, Member, Role
from gateway.inference.predictor import Backend
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.logs import logger

log = logger("batcher")

# Calls of shared batches at a time; more of them wait for one to end, within their members' deadlines.
_CARRIERS = 32

# What tells something of the backend and nothing of what was sent: alone, the members would only hear it again.
_NOT_OF_THE_CONTENT = (Unavailable, DeadlineExceeded)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """``max_rows`` of a batch, ``max_queued_rows`` waiting over all keys, ``max_in_flight`` batches of one key.

    ``max_wait_s``: how long a batch that follows a shared one waits for company, unless it is full before.
    """

    max_rows: int
    max_wait_s: float
    max_in_flight: int
    max_queued_rows: int


@dataclass(frozen=True, slots=True)
class _Call:
    """What all members of a batch have in common, but for their tensors."""

    model: ModelRef
    signature: Signature
    outputs: tuple[str, ...]


class Batcher:
    """A backend that batches the calls of another one. Thread-safe."""

    def __init__(self, backend: Backend, limits: BatchLimits) -> None:
        self._backend = backend
        self._limits = limits
        self._lock = threading.Lock()
        self._carriers = ThreadPoolExecutor(_CARRIERS, "batch")
        self._lanes: dict[object, Lane] = {}
        self._queued_rows = 0

    def predict(
        self, model: ModelRef, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        """As ``Backend.predict``, and Unavailable at once when the queue is full."""
        call = _Call(model, signature, outputs)
        count = row_wise.count(signature, inputs)
        if count is None or count > self._limits.max_rows:
            return self._alone(call, inputs, deadline)
        key = (call, row_wise.layout(inputs))
        member = Member(inputs, count, deadline)
        lane = self._join(key, member)
        if member.role is not Role.LEADING:
            self._await_turn(key, lane, member)
        if member.role is Role.LEADING:
            self._lead(call, key, lane, member)
        if member.outcome is None:
            return self._alone(call, inputs, deadline)
        if isinstance(member.outcome, GatewayError):
            # Not the one instance for all: each thread puts its own traceback on what it raises.
            raise copy.copy(member.outcome)
        return member.outcome

    def _alone(self, call: _Call, inputs: Tensors, deadline: Deadline) -> Prediction:
        return self._backend.predict(call.model, call.signature, inputs, call.outputs, deadline)

    def _join(self, key: object, member: Member) -> Lane:
        """Open a batch if one may be in flight now, else take a place in the queue."""
        with self._lock:
            lane = self._lanes.setdefault(key, Lane())
            if lane.in_flight < self._limits.max_in_flight and not lane.waiting:
                lane.in_flight += 1
                lane.is_shared = False
                member.role = Role.LEADING
            elif self._queued_rows + member.rows > self._limits.max_queued_rows:
                metrics.BATCH_REFUSALS.inc()
                raise Unavailable("too many requests are waiting for the model")
            else:
                self._enqueue(lane, member)
        return lane

    def _enqueue(self, lane: Lane, member: Member) -> None:
        lane.waiting.append(member)
        lane.queued_rows += member.rows
        self._queued_rows += member.rows
        if lane.queued_rows >= self._limits.max_rows:
            lane.full.set()

    def _dequeue(self, lane: Lane, member: Member) -> None:
        lane.waiting.remove(member)
        lane.queued_rows -= member.rows
        self._queued_rows -= member.rows

    def _await_turn(self, key: object, lane: Lane, member: Member) -> None:
        """Return when the member is to lead or is done. Raises DeadlineExceeded when that is not in time."""
        if member.woken.wait(max(0.0, member.deadline.at_s - time.monotonic())):
            return
        with self._lock:
            if member.role is Role.DONE:
                return
            if member.role is Role.WAITING:
                self._dequeue(lane, member)
            elif member.role is Role.LEADING:
                # Chosen at the very moment of giving up: those behind must not wait for it.
                self._pass_on(key, lane)
            member.role = Role.GONE
        raise member.deadline.exceeded()

    def _lead(self, call: _Call, key: object, lane: Lane, leader: Member) -> None:
        if lane.is_shared and lane.queued_rows + leader.rows < self._limits.max_rows:
            lane.full.wait(self._limits.max_wait_s)
        batch = self._board(lane, leader)
        reason = self._reason(batch, leader)
        if len(batch) == 1:
            self._carry(call, key, lane, batch, reason)
            return
        # Each member has a deadline of its own, and may give up: so the call of several is nobody's own.
        with self._lock:
            leader.role = Role.RIDING
            leader.woken.clear()
        self._carriers.submit(self._carry, call, key, lane, batch, reason)
        self._await_turn(key, lane, leader)

    def _carry(self, call: _Call, key: object, lane: Lane, batch: list[Member], reason: str) -> None:
        """Make the call of a batch, and land it whatever happens: with no outcome, each member is called alone."""
        outcomes: list[Prediction | GatewayError | None] = [None] * len(batch)
        try:
            self._measure(call.model.name, batch, reason)
            outcomes = self._run(call, batch)
        except Exception:  # a batch must not be lost to whatever nobody foresaw
            log.exception("batch.failed", model=call.model.name, requests=len(batch))
        finally:
            self._land(key, lane, batch, outcomes)

    def _board(self, lane: Lane, leader: Member) -> list[Member]:
        """The leader and, in their order, those who wait and fit in."""
        batch, total = [leader], leader.rows
        with self._lock:
            while lane.waiting and total + lane.waiting[0].rows <= self._limits.max_rows:
                member = lane.waiting[0]
                self._dequeue(lane, member)
                member.role = Role.RIDING
                batch.append(member)
                total += member.rows
            lane.full.clear()
            lane.is_shared = len(batch) > 1
        return batch

    def _run(self, call: _Call, batch: list[Member]) -> "list[Prediction | GatewayError | None]":
        """The outcome for each member; None for one that must be called alone."""
        started_s = time.perf_counter()
        deadline = max((member.deadline for member in batch), key=lambda deadline: deadline.at_s)
        try:
            prediction = self._alone(call, row_wise.join([member.inputs for member in batch]), deadline)
        except _NOT_OF_THE_CONTENT as error:
            return [error] * len(batch)
        except GatewayError as error:
            return [error] if len(batch) == 1 else [None] * len(batch)
        parts = [prediction] if len(batch) == 1 else row_wise.split(prediction, [member.rows for member in batch])
        if parts is None:
            return [None] * len(batch)
        return [replace(part, queue_s=started_s - member.arrived_s) for part, member in zip(parts, batch, strict=True)]

    def _reason(self, batch: list[Member], leader: Member) -> str:
        if not leader.woken.is_set():
            return "idle"
        return "full" if sum(member.rows for member in batch) >= self._limits.max_rows else "next"

    def _measure(self, model: str, batch: list[Member], reason: str) -> None:
        now_s = time.perf_counter()
        for member in batch:
            metrics.BATCH_QUEUE_SECONDS.labels(model).observe(now_s - member.arrived_s)
        metrics.BATCH_ROWS.labels(model).observe(sum(member.rows for member in batch))
        metrics.BATCH_REQUESTS.labels(model).observe(len(batch))
        metrics.BATCH_SENT.labels(model, reason).inc()

    def _land(self, key: object, lane: Lane, batch: list[Member], outcomes: "list[Prediction | GatewayError | None]") -> None:
        with self._lock:
            for member, outcome in zip(batch, outcomes, strict=True):
                if member.role is not Role.GONE:
                    member.role, member.outcome = Role.DONE, outcome
                    member.woken.set()
            self._pass_on(key, lane)

    def _pass_on(self, key: object, lane: Lane) -> None:
        """Let the first who waits lead the next batch; with nobody waiting, one batch fewer is in flight."""
        if lane.waiting:
            leader = lane.waiting[0]
            self._dequeue(lane, leader)
            leader.role = Role.LEADING
            leader.woken.set()
            return
        lane.in_flight -= 1
        if not lane.in_flight:
            del self._lanes[key]
