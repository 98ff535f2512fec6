"""Answers a question that was answered before, and lets identical questions that come together share one call.

Always holds: the answer is one that the same call would have given.

- A kept answer is of the version that is meant now. To a request that names no number it is given only while that version is
  also the one that the server last answered with; otherwise the server is asked.
- An answer that was cut from a batch is kept only while its signature's batches are proven, and is dropped when they are not
  any more.
- Errors are not kept. Of those that wait for another's call each has its own deadline; when it fails, all are told only that
  the server is away; when it ran out of time or was cancelled, the next of them calls; for any other reason, each calls alone.
- A call is shared only by those that ask for the version in the same way, and since the server last changed it.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Unavailable
from gateway.inference.caching.key import tensors_key_beside
from gateway.inference.caching.store import CacheKey, CacheStore, read_only_prediction
from gateway.inference.caching.versions import AnsweredVersions
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, Tensors
from gateway.inference.single_flight import Abandoned, SingleFlight
from gateway.telemetry import metrics
from gateway.telemetry.trace import Trace

Call: TypeAlias = Callable[[], Awaitable[Prediction]]


class CacheOutcome(StrEnum):
    """Where the answer to a question came from, or was to come from."""

    HIT = "hit"  # an answer that was kept
    MISS = "miss"  # a call of its own
    SHARED = "shared"  # the call of another that asked the same


class Question(NamedTuple):
    """A prediction that is asked for: from ``served``, which ``model`` is taken to mean."""

    model: ModelRef
    served: ServedModel
    signature: Signature
    inputs: Tensors
    outputs: tuple[str, ...]


class PredictionCache:
    """Keeps the answers of some models in ``store``, those that ``trusts`` says yes to. For one event loop.

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
        self._calls: SingleFlight[Prediction] = SingleFlight()
        self._counts: dict[tuple[str, str | None], Any] = {
            (model, outcome): metrics.CACHE_REQUESTS.labels(model, outcome)
            for model in store.models
            for outcome in CacheOutcome
        }

    def __contains__(self, model: str) -> bool:
        """Whether answers of the model are kept."""
        return model in self._store.models

    def forget(self, model: str) -> None:
        """Drop the answers of a model that were cut from batches: some of them may be wrong."""
        self._store.drop_shared(model)

    async def answer(self, question: Question, trace: Trace, deadline: Deadline, call: Call) -> Prediction:
        """The answer to ``question`` about a model that is kept: from before, from another, or from ``call``.

        Its outputs are read-only. Notes in ``trace``, also when it raises, where the answer came from (``CacheOutcome``) and
        the time spent on the calls of others.

        Raises:
            DeadlineExceeded: the call that this one shared did not end in time.
            GatewayError: whatever ``call`` raises.
        """
        trace.cache = CacheOutcome.MISS
        try:
            inputs = await tensors_key_beside(question.inputs)
            key = (id(question.served), question.signature.name, question.outputs, inputs)
            while True:
                with suppress(Abandoned):
                    return await self._attempt(question, key, trace, deadline, call)
        finally:
            self._counts[question.model.name, trace.cache].inc()

    async def _attempt(self, question: Question, key: CacheKey, trace: Trace, deadline: Deadline, call: Call) -> Prediction:
        """As ``answer``. Raises Abandoned when the call that this one waited for was abandoned."""
        model = question.model
        self._take_news()
        latest = self._answered.latest(model)
        if model.version is not None or (latest and latest.version == question.served.version):
            kept = self._store.get(key, model.name)
            if kept is not None:
                trace.cache = CacheOutcome.HIT
                return kept
        ask = partial(self._ask, question, key, trace, call)
        shared_key = (model.version, model.label, latest and latest.since, key)
        under_way = self._calls.get(shared_key)
        if under_way is None:
            return await self._calls.lead(shared_key, ask)
        trace.cache = CacheOutcome.SHARED
        started_s = time.perf_counter()
        try:
            return await under_way.outcome(deadline)
        except (Abandoned, Unavailable, DeadlineExceeded):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it may be the other request's own
            alone = ask()
        finally:
            trace.queue_s += time.perf_counter() - started_s
        return await alone

    async def _ask(self, question: Question, key: CacheKey, trace: Trace, call: Call) -> Prediction:
        """Make the call; keep its answer if it is of the version that was meant."""
        trace.cache = CacheOutcome.MISS
        began = self._answered.now
        prediction = await call()
        self._answered.note(question.model, prediction.version, began)
        if prediction.version == question.served.version and self._trusts(prediction):
            return self._store.keep(key, question.served, prediction)
        return read_only_prediction(prediction)
