"""The path of one prediction: which version is meant, tensors for its signature, the backend, the answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.deadline import Deadline
from gateway.errors import FailedPrecondition, GatewayError, InvalidArgument, NotFound
from gateway.inference import hints
from gateway.inference.caching.cache import CacheOutcome, PredictionCache, Question
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, Prediction, ServedModel, Signature, Tensors

# How long a refusal may wait for the news that another version has come meanwhile.
_LOOK_AGAIN_S = 0.25

BuildInputs = Callable[[Signature], Tensors]


class Catalog(Protocol):
    """Knows which versions are served, with which signatures. Both calls raise GatewayError."""

    def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means, as far as is known."""

    def refreshed(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means at this moment."""

    def note_missing(self, model: ModelRef) -> None:
        """The server does not serve ``model``, whatever is known of it."""


class Backend(Protocol):
    """Runs models."""

    def predict(
        self, model: ModelRef, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        """Run a signature; ``outputs`` names the wanted ones (none: all). Raises GatewayError."""


@dataclass(slots=True)
class Trace:
    """A prediction under way: what is asked for, and what is known so far for its log line and metrics, also if it fails.

    ``signature`` is the client's own word until ``is_known``, when the version turned out to have it.

    Times are in seconds: making tensors, waiting for a batch or for the same call of another, the backend. ``rows`` is
    dimension 0 of the inputs if all agree; ``cache`` is None when the model's answers are not kept.
    """

    model: ModelRef
    signature: str = DEFAULT_SIGNATURE
    version: int | None = None
    is_known: bool = False
    rows: int | None = None
    build_s: float = 0.0
    queue_s: float = 0.0
    backend_s: float = 0.0
    cache: CacheOutcome | None = None


class Predictor:
    """Predicts. Thread-safe: holds nothing of a request."""

    def __init__(self, catalog: Catalog, backend: Backend, cache: PredictionCache | None = None) -> None:
        self._catalog = catalog
        self._backend = backend
        self._cache = cache

    def predict(self, trace: Trace, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...] = ()) -> Prediction:
        """Predict with the version that ``trace.model`` means, on the tensors that ``build`` makes for its signature.

        ``outputs`` names the wanted ones (none: all); ``build`` must have refused what the signature does not give.

        A rollout may fall between the look into the catalog and the call. So when the request does not fit the known version,
        or another one answered, and the version of this moment has another signature, it is built and sent once more.

        Raises:
            GatewayError: whatever ``build``, the catalog or the backend raise.
            InvalidArgument: the version has no such signature.
        """
        served = self._catalog.served(trace.model, deadline)
        try:
            prediction = self._attempt(trace, served, build, deadline, outputs)
        except (InvalidArgument, FailedPrecondition):
            current = self._replaced(trace, served, deadline)
            if current is None:
                raise
        else:
            if prediction.version == served.version:
                return prediction
            current = self._catalog.served(ModelRef(prediction.model, prediction.version), deadline)
            if not _differ(current, served, trace.signature):
                return prediction
        return self._attempt(trace, current, build, deadline, outputs)

    def _attempt(
        self, trace: Trace, served: ServedModel, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...]
    ) -> Prediction:
        trace.version = served.version
        signature = signature_of(served, trace.signature)
        trace.is_known = True
        started_s = time.perf_counter()
        inputs = build(signature)
        trace.build_s += time.perf_counter() - started_s
        trace.rows = _rows(inputs)
        call = partial(self._call, trace, signature, inputs, outputs, deadline)
        if self._cache is None or trace.model.name not in self._cache:
            prediction = call()
        else:
            question = Question(trace.model, served, signature.name, inputs, outputs)
            prediction = _ask(self._cache, trace, question, deadline, call)
        trace.version = prediction.version
        return prediction

    def _call(
        self, trace: Trace, signature: Signature, inputs: Tensors, outputs: tuple[str, ...], deadline: Deadline
    ) -> Prediction:
        started_s = time.perf_counter()
        queue_s = 0.0
        try:
            prediction = self._backend.predict(trace.model, signature, inputs, outputs, deadline)
            queue_s = prediction.queue_s
        except NotFound:
            self._catalog.note_missing(trace.model)
            raise
        finally:
            trace.queue_s += queue_s
            trace.backend_s += time.perf_counter() - started_s - queue_s
        return prediction

    def _replaced(self, trace: Trace, served: ServedModel, deadline: Deadline) -> ServedModel | None:
        """The version that has taken the place of ``served`` and differs in the signature, if there is one."""
        if trace.model.version is not None:
            return None
        try:
            current = self._catalog.refreshed(trace.model, deadline.at_most(_LOOK_AGAIN_S))
        except GatewayError:
            # The caller has an answer already: what is wrong with the request.
            return None
        return current if _differ(current, served, trace.signature) else None


def signature_of(served: ServedModel, name: str) -> Signature:
    """The signature ``name`` of a version. Raises InvalidArgument, which names those that there are."""
    signature = served.signatures.get(name)
    if signature is None:
        # Words of tensorflow_serving/util/json_tensor.cc and its callers.
        text = f'Serving signature name: "{hints.cut(name)}" not found in signature def'
        raise hints.with_hint(InvalidArgument(text), hints.no_signature(name, served))
    return signature


def _ask(
    cache: PredictionCache, trace: Trace, question: Question, deadline: Deadline, call: Callable[[], Prediction]
) -> Prediction:
    try:
        return cache.answer(question, deadline, call)
    finally:
        trace.cache = question.outcome
        trace.queue_s += question.waited_s


def _differ(one: ServedModel, other: ServedModel, signature: str) -> bool:
    return one.signatures.get(signature) != other.signatures.get(signature)


def _rows(inputs: Tensors) -> int | None:
    sizes = {array.shape[0] if array.ndim else None for array in inputs.values()}
    return sizes.pop() if len(sizes) == 1 else None
