"""Answers a question that was answered before, and lets identical questions that come together share one call.

Always holds: the answer is one that the same call would have given.

- A kept answer is of the version that is meant now. To a request that names no number it is given only while that version is
  also the one that the server last answered with; otherwise the server is asked.
- An answer that was cut from a batch is kept only while its signature's batches are proven, and is dropped when they are not
  any more.
- Errors are not kept. Of those who wait for another's call each has its own deadline; when it fails, all are told only that
  the server is away; when it ran out of time or vanished, the next of them calls; for any other reason, each calls alone.
- A call is shared only by those who ask for the version in the same way, and since the server last changed it.

The lock is never held across a call or a wait.
"""

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, Literal, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Unavailable
from gateway.inference.caching import key as cache_key
from gateway.inference.caching.store import CacheStore, Kept, Key, read_only
from gateway.inference.caching.versions import AnsweredVersions
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Tensors
from gateway.telemetry import metrics
from gateway.waiting import Signal

Call: TypeAlias = Callable[[], Prediction]


class CacheOutcome(StrEnum):
    """Where the answer to a question came from, or was to come from."""

    HIT = "hit"  # an answer that was kept
    MISS = "miss"  # a call of its own
    SHARED = "shared"  # the call of another that asked the same


@dataclass(slots=True)
class Question:
    """A prediction that is asked for: from ``served``, which ``model`` is taken to mean. The rest is what became of it.

    ``waited_s``: seconds spent on the calls of others.
    """

    model: ModelRef
    served: ServedModel
    signature: str
    inputs: Tensors
    outputs: tuple[str, ...]
    outcome: CacheOutcome = CacheOutcome.MISS
    waited_s: float = 0.0


class _Verdict(Enum):
    ALONE = "alone"  # the call failed for what may be its own reason


_ALONE: Final = _Verdict.ALONE


@dataclass(slots=True, eq=False)
class _Flight:
    """A call under way and those who wait for it. With no ``result`` when it has landed, one of them leads the next."""

    key: object
    followers: set[Signal] = field(default_factory=set)
    result: Prediction | Unavailable | Literal[_Verdict.ALONE] | None = None


class PredictionCache:
    """Keeps the answers of some models in ``store``, those that ``trusts`` says yes to. Thread-safe.

    ``take_news`` is called before each look: it may make ``trusts`` say no, and call ``forget``.
    """

    def __init__(
        self,
        store: CacheStore,
        trusts: Callable[[Prediction], bool] = lambda prediction: True,
        take_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._trusts = trusts
        self._take_news = take_news
        self._answered = AnsweredVersions()
        self._flights: dict[object, _Flight] = {}
        self._lock = threading.Lock()
        self._counts = {
            (model, outcome): metrics.CACHE_REQUESTS.labels(model, outcome)
            for model in store.models
            for outcome in CacheOutcome
        }

    def __contains__(self, model: str) -> bool:
        """Whether answers of the model are kept."""
        return model in self._store.models

    @property
    def in_flight(self) -> int:
        """Calls under way that may be shared."""
        return len(self._flights)

    def forget(self, model: str) -> None:
        """Drop the answers of a model that were cut from batches: some of them may be wrong."""
        with self._lock:
            self._store.drop_shared(model)

    def answer(self, question: Question, deadline: Deadline, call: Call) -> Prediction:
        """The answer to ``question`` about a model that is kept: from before, from another, or from ``call``.

        Its outputs are read-only. Sets the outcome of ``question``, also when it raises.

        Raises:
            DeadlineExceeded: the call that this one shared did not end in time.
            GatewayError: whatever ``call`` raises.
        """
        key = (id(question.served), question.signature, question.outputs, cache_key.of(question.inputs))
        try:
            while (prediction := self._attempt(question, key, deadline, call)) is None:
                pass
            return prediction
        finally:
            self._counts[question.model.name, question.outcome].inc()

    def _attempt(self, question: Question, key: Key, deadline: Deadline, call: Call) -> Prediction | None:
        """The answer, or None when the call that this one waited for came to nothing that says anything."""
        found, signal = self._look(question, key)
        if isinstance(found, Prediction):
            question.outcome = CacheOutcome.HIT
            return found
        if signal is None:
            return self._lead(question, key, found, call)
        self._follow(question, found, signal, deadline)
        if found.result is _ALONE:
            return self._ask(question, key, call)
        if isinstance(found.result, Unavailable):
            # Not the one instance for all: each thread puts its own traceback on what it raises.
            raise copy.copy(found.result)
        return found.result

    def _look(self, question: Question, key: Key) -> tuple[Prediction | _Flight, Signal | None]:
        """A kept answer, or a flight: of another, with the signal of its landing, or a new one to lead."""
        model = question.model
        self._take_news()
        with self._lock:
            answered = self._answered.latest(model)
            if model.version is not None or (answered and answered.version == question.served.version):
                kept = self._store.get(key, model.name)
                if kept is not None:
                    return kept, None
            flight_key = (model.version, model.label, answered and answered.since, key)
            flight = self._flights.get(flight_key)
            if flight is None:
                flight = self._flights[flight_key] = _Flight(flight_key)
                return flight, None
            signal = Signal()
            flight.followers.add(signal)
            return flight, signal

    def _lead(self, question: Question, key: Key, flight: _Flight, call: Call) -> Prediction:
        try:
            flight.result = prediction = self._ask(question, key, call)
        except Unavailable as error:
            flight.result = copy.copy(error)
            raise
        except DeadlineExceeded:
            raise
        except Exception:
            flight.result = _ALONE
            raise
        finally:
            self._land(flight)
        return prediction

    def _land(self, flight: _Flight) -> None:
        with self._lock:
            del self._flights[flight.key]
            followers = tuple(flight.followers)
        for signal in followers:
            signal.set()

    def _follow(self, question: Question, flight: _Flight, signal: Signal, deadline: Deadline) -> None:
        """Return when the flight has landed. Raises DeadlineExceeded when that is not in time."""
        question.outcome = CacheOutcome.SHARED
        started_s = time.perf_counter()
        try:
            if not signal.wait(deadline.remaining_s()):
                raise deadline.exceeded()
        finally:
            question.waited_s += time.perf_counter() - started_s
            with self._lock:
                flight.followers.discard(signal)

    def _ask(self, question: Question, key: Key, call: Call) -> Prediction:
        """Make the call; keep its answer if it is of the version that was meant."""
        question.outcome = CacheOutcome.MISS
        began = self._answered.now
        prediction = call()
        size = self._store.takes(key, prediction) if prediction.version == question.served.version else None
        prediction = read_only(prediction, own=size is not None)
        with self._lock:
            self._answered.note(question.model, prediction.version, began)
            if size is not None and self._trusts(prediction):
                self._store.put(key, Kept(prediction, question.served, size))
        return prediction
