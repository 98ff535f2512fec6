"""Classify and Regress for models with a rollout: routed and checked. Their answers are not compared: there is no shadow."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from gateway.deadline import Deadline
from gateway.inference.backend import ExampleBackend
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.predictors import AnyExamplePredictor
from gateway.inference.signature import ModelRef
from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.live.router import Question, Router
from gateway.rollout.live.second_opinion import Check
from gateway.telemetry.trace import Trace

Answer = TypeVar("Answer")

Ask: TypeAlias = Callable[[ModelRef, Deadline], Coroutine[Any, Any, Answer]]
"""Asks a version for the caller, within a deadline."""


class RolloutExamplePredictor:
    """``predictor``, but for requests that name no version and no label of a model with a rollout.

    ``backend`` is that of ``predictor``; of it the calls are made that no caller waits for.
    """

    def __init__(self, predictor: AnyExamplePredictor, rollouts: Rollouts, router: Router, *, backend: ExampleBackend) -> None:
        self._predictor = predictor
        self._rollouts = rollouts
        self._router = router
        self._backend = backend

    def classify(
        self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline
    ) -> Coroutine[Any, Any, Classifications]:
        """As ``AnyExamplePredictor.classify``."""
        return self._answered(
            model,
            trace,
            deadline,
            lambda version, until: self._predictor.classify(version, trace, examples, until),
            lambda version, until: self._backend.classify(version, trace.signature, examples, until),
        )

    def regress(
        self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline
    ) -> Coroutine[Any, Any, Regressions]:
        """As ``AnyExamplePredictor.regress``."""
        return self._answered(
            model,
            trace,
            deadline,
            lambda version, until: self._predictor.regress(version, trace, examples, until),
            lambda version, until: self._backend.regress(version, trace.signature, examples, until),
        )

    def _answered(
        self, model: ModelRef, trace: Trace, deadline: Deadline, ask: Ask[Answer], check: Check
    ) -> Coroutine[Any, Any, Answer]:
        running = self._rollouts.that_places(model)
        return ask(model, deadline) if running is None else self._router.answer(running, Question(trace, deadline, ask, check))
