"""Predict for models with a rollout: routed, checked and shadowed. Every other request passes at the price of one look."""

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from gateway.deadline import Deadline
from gateway.errors import GatewayError
from gateway.inference.backend import Backend
from gateway.inference.catalog import Catalog
from gateway.inference.predictor import signature_of
from gateway.inference.predictors import AnyPredictor, BuildInputs
from gateway.inference.signature import ModelRef, Prediction, ServedModel
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.live.router import NOT_CALLED, Question, Router
from gateway.rollout.live.running import Running
from gateway.rollout.live.second_opinion import NoOpinion
from gateway.rollout.live.shadow import Shadow, Shadowed
from gateway.rollout.plan import Arm
from gateway.telemetry.trace import Trace


class RolloutPredictor:
    """``predictor``, but for requests that name no version and no label of a model with a rollout.

    ``catalog`` and ``backend`` are those of ``predictor``; of ``backend`` the calls are made that no caller waits for.
    """

    def __init__(
        self,
        predictor: AnyPredictor,
        rollouts: Rollouts,
        router: Router,
        shadow: Shadow,
        *,
        catalog: Catalog,
        backend: Backend,
    ) -> None:
        self._predictor = predictor
        self._rollouts = rollouts
        self._router = router
        self._shadow = shadow
        self._catalog = catalog
        self._backend = backend

    # No coroutine of its own: that would be another one for each request.
    def predict(
        self, model: ModelRef, trace: Trace, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...] = ()
    ) -> Coroutine[Any, Any, Prediction]:
        """As ``AnyPredictor.predict``."""
        running = self._rollouts.that_places(model)
        if running is None:
            return self._predictor.predict(model, trace, build, deadline, outputs)
        return self._routed(running, trace, build, deadline, outputs)

    async def _routed(
        self, running: Running, trace: Trace, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...]
    ) -> Prediction:
        async def ask(model: ModelRef, until: Deadline) -> Prediction:
            return await self._predictor.predict(model, trace, build, until, outputs)

        check = partial(self._check, running, trace, outputs)
        question = Question(trace, deadline, ask, check, partial(self._differs, trace.signature, deadline))
        prediction = await self._router.answer(running, question)
        if running.shadow and trace.arm != Arm.CANARY:
            self._offer(running, trace, prediction, outputs, deadline.budget_s)
        return prediction

    def _offer(self, running: Running, trace: Trace, prediction: Prediction, outputs: tuple[str, ...], budget_s: float) -> None:
        inputs = trace.inputs
        is_stables = prediction.version == running.plan.stable and trace.cache not in NOT_CALLED
        if is_stables and isinstance(inputs, Mapping) and running.draw() < running.shadow:
            request_id = "" if trace.sender is None else trace.sender.id
            caller = running.caller(trace.sender)
            self._shadow.offer(Shadowed(running, request_id, prediction, inputs, outputs, budget_s, caller))

    async def _check(
        self, running: Running, trace: Trace, outputs: tuple[str, ...], model: ModelRef, deadline: Deadline
    ) -> object:
        """Ask ``model`` with the tensors that were made for the other version."""
        inputs = trace.inputs
        if not isinstance(inputs, Mapping):  # the fault came before they were made
            raise NoOpinion
        stable, canary = await self._both(running, deadline)
        signature = signature_of(canary if model.version == canary.version else stable, trace.signature)
        if _inputs(stable, trace.signature) != _inputs(canary, trace.signature):
            raise NoOpinion
        return await self._backend.predict(model, signature, inputs, outputs, deadline)

    async def _differs(self, signature: str, deadline: Deadline, running: Running) -> bool:
        try:
            stable, canary = await self._both(running, deadline)
        except GatewayError:
            return False
        return stable.signatures.get(signature) != canary.signatures.get(signature)

    async def _both(self, running: Running, deadline: Deadline) -> tuple[ServedModel, ServedModel]:
        stable, canary = running.check_ref(Arm.STABLE), running.check_ref(Arm.CANARY)
        return await self._catalog.served(stable, deadline), await self._catalog.served(canary, deadline)


def _inputs(served: ServedModel, signature: str) -> object:
    found = served.signatures.get(signature)
    return None if found is None else found.inputs
