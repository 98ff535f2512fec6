"""The first requests of a canary are ones that no caller waits for: the newest of the prediction log.

A version that is AVAILABLE may be slow once, while it traces its functions. A warm-up file of the model itself was replayed by
the server when it loaded the version; these requests are those that callers really send.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.prediction_log import tensors
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.sink import Filter, Sink, SinkAway
from gateway.rollout.control.jobs import Jobs
from gateway.rollout.plan import Plan
from gateway.telemetry.logs import logger

log = logger("rollout")

REQUESTS: Final = 20
_ROWS: Final = 200
_DAY_US: Final = 24 * 3_600_000_000
_ANSWER_S: Final = 30.0
_ALL_S: Final = 60.0
_TURN_S: Final = 15.0
"""After so long the next worker of a host does it, if the one before has not."""


class Client(Protocol):
    """Calls one model server (``gateway.backend.client.BackendClient``)."""

    async def predict(
        self, model: ModelRef, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        """Run a signature. Raises GatewayError."""


class Servers(Protocol):
    """Every model server behind the target."""

    async def clients(self) -> Mapping[str, Client]:
        """A client for each, by its address."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request of the prediction log."""

    signature: str
    inputs: Tensors


@dataclass(slots=True)
class _Outcome:
    answered: int = 0
    errors: list[str] = field(default_factory=list)


class Warming:
    """The warm-ups of one worker, by plan. ``sink``: where the prediction log is, for this alone; None: there is none.

    For one event loop.
    """

    def __init__(self, servers: Servers, sink: Sink | None, now: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._sink = sink
        self._now = now
        self._jobs = Jobs()
        self._since: dict[str, float] = {}
        self._notes: dict[str, str] = {}

    def warm(self, plan: Plan, turn: int, addresses: Collection[str]) -> None:
        """Send the canary requests, unless that was done: at once if it is this worker's ``turn`` (0), or else later."""
        now_s = self._now()
        waited_s = now_s - self._since.setdefault(plan.id, now_s)
        if plan.id not in self._notes and waited_s >= turn * _TURN_S:
            self._jobs.start(plan.id, lambda: self._warm(plan, addresses))

    def note(self, plan_id: str) -> str | None:
        """What the warm-up was; None until it is over."""
        return self._notes.get(plan_id)

    def forget_all_but(self, plan_ids: Collection[str]) -> None:
        """Other plans do not warm up now; one that does so later begins anew."""
        self._jobs.cancel_all_but(plan_ids)
        for known in (self._since, self._notes):
            for gone in known.keys() - set(plan_ids):
                del known[gone]

    async def close(self) -> None:
        """Stop."""
        await self._jobs.close()
        if self._sink is not None:
            await asyncio.to_thread(self._sink.close)

    async def _warm(self, plan: Plan, addresses: Collection[str]) -> None:
        note = "the warm-up failed"
        try:
            requests, why = await self._recorded(plan.model)
            clients = {address: client for address, client in (await self._servers.clients()).items() if address in addresses}
            outcomes = [_Outcome() for _ in clients]
            try:
                async with asyncio.timeout(_ALL_S):
                    send = zip(clients.values(), outcomes, strict=True)
                    await asyncio.gather(*(_send(client, plan, requests, outcome) for client, outcome in send))
            except TimeoutError:
                why = f"it was ended after {_ALL_S:.0f} s"
            note = _told(plan, len(requests), outcomes, why)
        finally:
            # Whatever it was: callers get a second opinion, and the evidence decides.
            self._notes[plan.id] = note
        log.info("rollout.warmed", rollout=plan.id, model=plan.model, version=plan.canary, note=note)

    async def _recorded(self, model: str) -> tuple[Sequence[Recorded], str]:
        if self._sink is None:
            return (), "there is no prediction log to take requests from"
        try:
            return await asyncio.to_thread(recorded_requests, self._sink, model, time.time_ns() // 1000), ""
        except SinkAway as error:
            return (), f"the prediction log cannot be read: {error}"


def recorded_requests(sink: Sink, model: str, now_us: int) -> list[Recorded]:
    """The newest requests for ``model`` of the last day that were answered, with all of their inputs. Raises SinkAway."""
    rows = sink.read(PredictionRow, Filter(from_us=now_us - _DAY_US, model=model, newest=_ROWS))
    found = [recorded for row in rows if row.status == 200 and (recorded := _request(row)) is not None]
    return found[-REQUESTS:]


def _request(row: PredictionRow) -> Recorded | None:
    if not row.inputs or row.truncated:
        return None
    inputs: dict[str, np.ndarray] = {}
    for name, tensor in tensors.decode(row.inputs).items():
        if not isinstance(tensor, np.ndarray):
            return None  # only a summary of a large one was kept
        inputs[name] = tensor
    return Recorded(row.signature, inputs)


async def _send(client: Client, plan: Plan, requests: Sequence[Recorded], outcome: _Outcome) -> None:
    model = ModelRef(plan.model, plan.canary)
    for request in requests:
        # Only the name of a signature is sent.
        signature = Signature(request.signature, "", (), ())
        try:
            await client.predict(model, signature, request.inputs, (), Deadline.after(_ANSWER_S))
            outcome.answered += 1
        except GatewayError as error:
            outcome.errors.append(f"{error.code}: {error.message}")


def _told(plan: Plan, requests: int, outcomes: Sequence[_Outcome], why: str) -> str:
    """The warm-up in words."""
    if not requests:
        return f"not warmed up: {why or f'the prediction log has no request for {plan.model} with its inputs'}"
    answered = sum(outcome.answered for outcome in outcomes)
    errors = [error for outcome in outcomes for error in outcome.errors]
    servers = "1 model server" if len(outcomes) == 1 else f"{len(outcomes)} model servers"
    told = f"{answered} of {requests * len(outcomes)} requests of the prediction log were answered by {servers}"
    return "; ".join(filter(None, [told, errors[0] if errors else "", why]))
