"""The shadow: some of stable's requests are sent to the canary too, after their answers, and both answers are compared.

It is bounded in calls, in requests that wait and in their bytes. What finds no room is dropped, and no caller waits for it.
"""

import asyncio
import dataclasses
from collections import deque
from enum import StrEnum
from typing import Any, Final, NamedTuple

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, ResourceExhausted, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.caching.key import LARGE_BYTES, tensors_key
from gateway.inference.catalog import Catalog
from gateway.inference.predictor import signature_of
from gateway.inference.signature import Prediction, ServedModel, Tensors
from gateway.rollout.live.faults import Kind, kind_of
from gateway.rollout.live.kept_sample import KeepSample, failure, of_request
from gateway.rollout.live.running import Running
from gateway.rollout.live.second_opinion import LONGEST_S
from gateway.rollout.outputs import compare
from gateway.rollout.plan import ANY_OUTPUT, Arm
from gateway.telemetry import metrics
from gateway.telemetry.logs import logger

log = logger("rollout")

MOST_CALLS: Final = 4
MOST_WAITING: Final = 64
MOST_BYTES: Final = 32 * 2**20
_CELLS: Final = 65_536

# These say nothing about what the canary would have answered, and a canary that is not loaded says nothing either.
# After any other error it answers otherwise than stable does.
_UNANSWERED: Final = (Unavailable, DeadlineExceeded, ResourceExhausted)


class Result(StrEnum):
    """What came of a request."""

    SAME = "same"
    DIFFERENT = "different"
    FAILED = "failed"  # the canary refused or failed what stable has answered
    UNANSWERED = "unanswered"
    DROPPED = "dropped"


class Shadowed(NamedTuple):
    """A request that stable has answered with ``stable``. ``outputs``: the wanted ones (none: all).

    ``cell``: the caller's; None: equal inputs are a cell.
    """

    running: Running
    request_id: str
    stable: Prediction
    inputs: Tensors
    outputs: tuple[str, ...]
    budget_s: float
    cell: int | None = None

    @property
    def is_large(self) -> bool:
        """Whether it takes long to read all of its tensors."""
        return self.size > LARGE_BYTES

    @property
    def size(self) -> int:
        """The bytes of its tensors."""
        return sum(array.nbytes for tensors in (self.inputs, self.stable.outputs) for array in tensors.values())


class Shadow:
    """Asks the canary by ``backend``; ``keep_sample`` gets the requests whose answers differ. For one event loop."""

    def __init__(self, backend: Backend, catalog: Catalog, keep_sample: KeepSample) -> None:
        self._backend = backend
        self._catalog = catalog
        self._keep_sample = keep_sample
        self._waiting: deque[Shadowed] = deque()
        self._bytes = 0
        self._noted: dict[str, str] = {}  # the plan whose tolerances were looked at, by its model
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, request: Shadowed) -> None:
        """Take a request, if there is room. Nothing is done before the event loop's next turn."""
        size = request.size
        if len(self._waiting) >= MOST_WAITING or self._bytes + size > MOST_BYTES:
            _count(request, Result.DROPPED)
            return
        self._waiting.append(request)
        self._bytes += size
        asyncio.get_running_loop().call_soon(self._begin)

    async def close(self) -> None:
        """End the calls that are under way; those that wait are not made."""
        self._waiting.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < MOST_CALLS:
            request = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._run(request))
            self._tasks.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._begin()

    async def _run(self, request: Shadowed) -> None:
        result = Result.UNANSWERED
        try:
            result = await self._compared(request)
        except GatewayError as error:
            if not isinstance(error, _UNANSWERED) and kind_of(error) is not Kind.MISSING:
                result = Result.FAILED
                self._keep(request, failure(error))
        except Exception:  # nobody waits for it, so nobody would tell
            log.exception("rollout.shadow_failed", model=request.stable.model)
        finally:
            self._bytes -= request.size
        if result is not Result.UNANSWERED:
            cell = request.cell
            if cell is None:
                cell = await asyncio.to_thread(_cell_of, request.inputs) if request.is_large else _cell_of(request.inputs)
            request.running.windows.pair(result is not Result.SAME, cell)
        _count(request, result)

    async def _compared(self, request: Shadowed) -> Result:
        model = request.running.check_ref(Arm.CANARY)
        deadline = Deadline.after(min(request.budget_s, LONGEST_S))
        served = await self._catalog.served(model, deadline)
        self._note_tolerances(request, served)
        signature = signature_of(served, request.stable.signature)
        canary = await self._backend.predict(model, signature, request.inputs, request.outputs, deadline)
        both = (request.stable.outputs, canary.outputs, request.running.plan.tolerances)
        found = await asyncio.to_thread(compare, *both) if request.is_large else compare(*both)
        if found is None:
            return Result.SAME
        self._keep(request, dataclasses.asdict(found))
        return Result.DIFFERENT

    def _note_tolerances(self, request: Shadowed, served: ServedModel) -> None:
        """Tell once, by the log and among the samples, of tolerances for outputs that no signature of the canary has."""
        plan = request.running.plan
        if self._noted.get(plan.model) == plan.id:
            return
        self._noted[plan.model] = plan.id
        outputs = {spec.name for signature in served.called_signatures for spec in signature.outputs}
        unused = sorted(plan.tolerances.keys() - outputs - {ANY_OUTPUT})
        if unused:
            log.warning(
                "rollout.tolerance_unused", rollout=plan.id, model=plan.model, tolerances=unused, outputs=sorted(outputs)
            )
            self._keep_sample(plan.id, {"unused_tolerances": unused, "outputs": sorted(outputs)})

    def _keep(self, request: Shadowed, found: dict[str, Any]) -> None:
        plan = request.running.plan
        self._keep_sample(plan.id, of_request(plan, request.request_id, request.stable.signature) | found)


def _cell_of(inputs: Tensors) -> int:
    return hash(tensors_key(inputs)) % _CELLS


def _count(request: Shadowed, result: Result) -> None:
    metrics.ROLLOUT_SHADOW.labels(request.stable.model, result).inc()
