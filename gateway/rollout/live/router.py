"""The way of a request through a rollout: its arm's version, what is done when that fails, and what is counted.

- A caller of the canary is answered by stable if the canary fails, and notices a header. A caller of stable notices nothing:
  the canary is asked afterwards.
- A fault or refusal counts against an arm only if the other version answers the same request: what both refuse counts against
  neither. Without second opinions, each counts against its arm: chance gives both arms the same share of bad requests.
- Answers that came from the cache, or from the call of another request, say nothing.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef
from gateway.inference.suggestions import is_unserved
from gateway.rollout.live.exposure import Exposure
from gateway.rollout.live.faults import Kind, is_refusal, kind_of
from gateway.rollout.live.kept_sample import KeepSample, failure, of_request
from gateway.rollout.live.running import Running
from gateway.rollout.live.second_opinion import Check, SecondOpinions, count_opinion
from gateway.rollout.plan import Arm, Plan
from gateway.telemetry.trace import Trace

FAILED: Final = "canary-failed"
NOT_LOADED: Final = "canary-not-loaded"

_LEAST_S: Final = 0.02  # to ask stable within the caller's time
_BEFORE_THE_CALL: Final = (Unavailable, DeadlineExceeded)
NOT_CALLED: Final = ("hit", "shared")

Answer = TypeVar("Answer")


async def _never(running: Running) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """A request in a form that any version can be asked.

    ``ask`` is for the caller, within a deadline, and notes in its trace. ``check`` is for nobody, and may come after the
    answer. ``differs``: whether both versions declare the request's signature differently, so that the gateway's own checks of
    it differ too.
    """

    trace: Trace
    deadline: Deadline
    ask: Callable[[ModelRef, Deadline], Awaitable[Answer]]
    check: Check
    differs: Callable[[Running], Awaitable[bool]] = _never


class Router:
    """Answers the requests of models with a rollout. For one event loop.

    ``keep_sample`` gets the requests that the canary has failed and stable has answered: the log has them as answered.
    ``catalog`` knows what answers where stable is not loaded.
    """

    def __init__(self, opinions: SecondOpinions, keep_sample: KeepSample, catalog: Catalog) -> None:
        self._opinions = opinions
        self._keep_sample = keep_sample
        self._catalog = catalog

    async def answer(self, running: Running, question: Question[Answer]) -> Answer:
        """What the version of the caller's arm answers, or stable if that is the canary and it fails. Raises GatewayError."""
        trace = question.trace
        place = running.place(trace.sender)
        trace.rollout, trace.arm = running.plan.id, place.arm
        attempt = _Attempt(running, question, Exposure.of(running, place), trace.backend_s, trace.answered_s)
        if place.arm is not Arm.CANARY:
            return await self._by_stable(attempt, place.arm)
        try:
            answer = await question.ask(running.ref(Arm.CANARY), _before_the_end(running, question.deadline))
        except GatewayError as error:
            kind = attempt.kind(error)
            if kind is Kind.MISSING:
                return await self._instead_of_canary(attempt, NOT_LOADED)
            if kind is Kind.OTHER and isinstance(error, _BEFORE_THE_CALL) and running.asks_other and self._opinions.has_room():
                # Too many calls of the canary are under way or wait, or its metadata took too long: stable may be well.
                return await self._instead_of_canary(attempt, FAILED)
            instead = await self._instead(attempt.ended(), kind)
            if instead is None:
                raise
            self._keep_failure(running.plan, trace, error)
            return instead[0]
        attempt.note_answer()
        return answer

    def _keep_failure(self, plan: Plan, trace: Trace, error: GatewayError) -> None:
        request_id = "" if trace.sender is None else trace.sender.id
        self._keep_sample(plan.id, of_request(plan, request_id, trace.signature) | failure(error))

    async def _by_stable(self, attempt: "_Attempt[Answer]", arm: Arm) -> Answer:
        running, question = attempt.running, attempt.question
        try:
            answer = await question.ask(running.ref(arm), question.deadline)
        except GatewayError as error:
            kind = attempt.kind(error)
            if kind is not Kind.MISSING:
                await self._note_fault(attempt.ended(), kind)
                raise
        else:
            attempt.note_answer()
            return answer
        return await self._without_stable(running, question)

    async def _without_stable(self, running: Running, question: Question[Answer]) -> Answer:
        """What another version answers, since stable is not loaded, or not loaded any more. It is no evidence."""
        name = running.plan.model
        available = next((status.available for status in self._catalog.models() if status.name == name), ())
        other = running.without_stable(available)
        if other.version is not None:
            try:
                return await question.ask(other, question.deadline)
            except GatewayError as error:
                if not is_unserved(error):
                    raise
        # Whatever is served is better than nothing.
        return await question.ask(ModelRef(name), question.deadline)

    async def _note_fault(self, attempt: "_Attempt[Answer]", kind: Kind) -> None:
        """Stable's own request has failed: the canary is asked the same, so that both arms are measured alike."""
        running, question, exposure = attempt.running, attempt.question, attempt.exposure
        if running.asks_other and kind in (Kind.FAULT, Kind.REFUSAL):
            # A request that the canary cannot be asked, since its inputs are others, may be refused for what it is.
            without = exposure.unchecked if kind is Kind.FAULT else exposure.answered
            self._check_afterwards(attempt, Arm.CANARY, without)
        elif not running.asks_other and await _is_of_version(kind, question, running):
            exposure.failed()

    async def _instead_of_canary(self, attempt: "_Attempt[Answer]", note: str) -> Answer:
        """What stable answers to a request that the canary was not asked. It is no evidence."""
        attempt.question.trace.note = note
        answer = await self._by_stable(attempt.uncounted(), Arm.STABLE)
        attempt.exposure.replaced()
        return answer

    async def _instead(self, attempt: "_Attempt[Answer]", kind: Kind) -> tuple[Answer] | None:
        """What stable answers to a request that the canary has failed or refused; None: the canary's error stands.

        Raises stable's refusal, which says more to the caller than a fault of the canary.
        """
        running, question, exposure = attempt.running, attempt.question, attempt.exposure
        if not await _is_of_version(kind, question, running):
            return None
        if not running.asks_other:
            exposure.failed()
            return None
        if not self._opinions.has_room(is_checked=exposure.is_checked):
            count_opinion(running.plan.model, "unchecked")
            exposure.unchecked()
            return None
        if question.deadline.at_s - time.monotonic() < _LEAST_S:
            self._check_afterwards(attempt, Arm.STABLE)
            return None
        return await self._opinion_of_stable(attempt, kind)

    async def _opinion_of_stable(self, attempt: "_Attempt[Answer]", kind: Kind) -> tuple[Answer] | None:
        running, question, exposure = attempt.running, attempt.question, attempt.exposure
        trace, called_s = question.trace, question.trace.answered_s
        try:
            with self._opinions.waited_for():
                answer = await question.ask(running.ref(Arm.STABLE), question.deadline)
        except DeadlineExceeded:
            self._check_afterwards(attempt, Arm.STABLE)
        except GatewayError as error:
            if is_refusal(error):
                count_opinion(running.plan.model, "failed")
                (exposure.both_failed if kind is Kind.FAULT else exposure.answered)()
                raise
            has_failed = kind_of(error, was_called=trace.answered_s != called_s) is Kind.FAULT
            count_opinion(running.plan.model, "failed" if has_failed else "unchecked")
            (exposure.both_failed if has_failed else exposure.unchecked)()
        else:
            count_opinion(running.plan.model, "answered")
            exposure.failed()
            trace.note = FAILED
            return (answer,)
        trace.version = running.plan.canary  # whose error the caller gets
        return None

    def _check_afterwards(self, attempt: "_Attempt[Answer]", other: Arm, without: Callable[[], None] | None = None) -> None:
        exposure, question = attempt.exposure, attempt.question
        if exposure.windows is None:
            return
        if exposure.is_checked:
            self._opinions.check(attempt.running, exposure, question.check, other, question.deadline.budget_s, without=without)
        else:
            exposure.unchecked()


async def _is_of_version(kind: Kind, question: Question[Answer], running: Running) -> bool:
    """Whether an error of ``kind`` may be the version's, so that the other one would have answered."""
    return await question.differs(running) if kind is Kind.UNSENT else kind in (Kind.FAULT, Kind.REFUSAL)


def _before_the_end(running: Running, deadline: Deadline) -> Deadline:
    """The deadline of a canary, which leaves the time in which stable usually answers: a canary that hangs is a fault too.

    A version that needs more than half of the time that there is gets all of it: that is how the model is.
    """
    if not running.asks_other:
        return deadline
    left_s, usual_s = deadline.at_s - time.monotonic(), running.windows.usual_s
    reserved_s = left_s / 4 if usual_s is None else max(_LEAST_S, 2 * usual_s)
    return deadline if reserved_s > left_s / 2 else Deadline(deadline.at_s - reserved_s, deadline.budget_s)


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[Answer]):
    """A request on its own arm. ``backend_s`` and ``answered_s`` are those of its trace from before."""

    running: Running
    question: Question[Answer]
    exposure: Exposure
    backend_s: float
    answered_s: float

    @property
    def _is_of_another(self) -> bool:
        """Whether the outcome is that of another request's call, or of none."""
        return self.question.trace.cache in NOT_CALLED

    def kind(self, error: GatewayError) -> Kind:
        """What ``error`` says of the version of its arm."""
        return kind_of(error, was_called=self._is_of_another or self.question.trace.answered_s != self.answered_s)

    def note_answer(self) -> None:
        """The version of its arm has answered."""
        if not self._is_of_another:
            self.exposure.answered(self.question.trace.backend_s - self.backend_s)

    def ended(self) -> "_Attempt[Answer]":
        """The attempt, whose outcome is known now: it is no evidence if that is another request's."""
        return self.uncounted() if self._is_of_another else self

    def uncounted(self) -> "_Attempt[Answer]":
        """The same without a place in the evidence."""
        exposure = Exposure(None, self.exposure.place, is_checked=True)
        return _Attempt(self.running, self.question, exposure, self.backend_s, self.answered_s)
