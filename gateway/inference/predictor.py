"""The path of one prediction: which version is meant, tensors for its signature, the backend, the answer."""

import time
from functools import partial

from gateway.deadline import Deadline
from gateway.errors import FailedPrecondition, GatewayError, InvalidArgument, NotFound
from gateway.inference import suggestions
from gateway.inference.backend import Backend
from gateway.inference.caching.cache import PredictionCache, Question
from gateway.inference.catalog import Catalog
from gateway.inference.predictors import BuildInputs
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, Tensors
from gateway.telemetry.trace import Trace

# How long a refusal may wait to learn whether another version has come meanwhile.
_LOOK_AGAIN_S = 0.25


class Predictor:
    """Predicts. It keeps nothing of a request."""

    def __init__(self, catalog: Catalog, backend: Backend, cache: PredictionCache | None = None) -> None:
        self._catalog = catalog
        self._backend = backend
        self._cache = cache

    async def predict(
        self, model: ModelRef, trace: Trace, build: BuildInputs, deadline: Deadline, outputs: tuple[str, ...] = ()
    ) -> Prediction:
        """As ``AnyPredictor.predict``.

        A new version may come between the look into the catalog and the call. So the request is built and sent once more if it
        does not fit the known version, or another one answered, and the version that is served now has another signature.
        """
        served = await self._catalog.served(model, deadline)
        try:
            prediction = await self._attempt(model, trace, build, deadline, served, outputs=outputs)
        except (InvalidArgument, FailedPrecondition):
            current = await self._replaced(model, served, trace.signature, deadline)
            if current is None:
                raise
        else:
            if prediction.version == served.version:
                return prediction
            try:
                current = await self._catalog.served(ModelRef(prediction.model, prediction.version), deadline)
            except NotFound:
                # It was unloaded since, so that nobody knows what it had declared: the version that is served now is asked.
                current = await self._catalog.served(model, deadline)
            else:
                if not _differ(current, served, trace.signature):
                    return prediction
        return await self._attempt(model, trace, build, deadline, current, outputs=outputs)

    async def _attempt(
        self,
        model: ModelRef,
        trace: Trace,
        build: BuildInputs,
        deadline: Deadline,
        served: ServedModel,
        *,
        outputs: tuple[str, ...],
    ) -> Prediction:
        trace.version = served.version
        signature = signature_of(served, trace.signature)
        trace.is_known = True
        started_s = time.monotonic()
        inputs = await build(signature)
        trace.built_s = time.monotonic()
        trace.build_s += trace.built_s - started_s
        trace.inputs, trace.rows = inputs, _rows(inputs)
        if trace.when_built is not None:
            trace.tell_rows()
        question = Question(model, served, signature, inputs, outputs)
        if self._cache is None or model.name not in self._cache:
            prediction = await self._call(question, trace, deadline)
        else:
            prediction = await self._cache.answer(question, trace, deadline, partial(self._call, question, trace, deadline))
        trace.version, trace.outputs = prediction.version, prediction.outputs
        return prediction

    async def _call(self, question: Question, trace: Trace, deadline: Deadline) -> Prediction:
        model, _, signature, inputs, outputs = question
        started_s = time.monotonic()
        queue_s = 0.0
        try:
            prediction = await self._backend.predict(model, signature, inputs, outputs, deadline, spans=trace.spans)
            queue_s = prediction.queue_s
            trace.batch_rows = prediction.batch_rows or trace.rows
        except NotFound as error:
            if suggestions.is_unserved(error):
                self._catalog.note_missing(model)
            raise
        finally:
            trace.queue_s += queue_s
            trace.answered_s = time.monotonic()
            trace.backend_s += trace.answered_s - started_s - queue_s
        return prediction

    async def _replaced(self, model: ModelRef, served: ServedModel, signature: str, deadline: Deadline) -> ServedModel | None:
        """The version that has taken the place of ``served`` and differs in the signature, if there is one."""
        if model.version is not None:
            return None
        try:
            current = await self._catalog.refreshed(model, deadline.at_most(_LOOK_AGAIN_S))
        except GatewayError:
            # The caller has its answer already: the refusal of the request.
            return None
        return current if _differ(current, served, signature) else None


def signature_of(served: ServedModel, name: str) -> Signature:
    """The signature ``name`` of a version. Raises InvalidArgument, which names those that there are."""
    signature = served.signatures.get(name)
    if signature is None:
        # Words of tensorflow_serving/util/json_tensor.cc and its callers.
        text = f'Serving signature name: "{suggestions.short_name(name)}" not found in signature def'
        raise suggestions.with_hint(InvalidArgument(text), suggestions.no_signature(name, served))
    return signature


def _differ(one: ServedModel, other: ServedModel, signature: str) -> bool:
    return one.signatures.get(signature) != other.signatures.get(signature)


def _rows(inputs: Tensors) -> int | None:
    """Dimension 0 of the inputs, if all agree."""
    rows: int | None = None
    for array in inputs.values():
        shape = array.shape
        if not shape or rows not in (None, shape[0]):
            return None
        rows = shape[0]
    return rows
