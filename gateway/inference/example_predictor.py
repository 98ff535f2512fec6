"""The path of one Classify or Regress call. Examples do not depend on the signature, so a rollout never makes them anew."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from gateway.deadline import Deadline
from gateway.errors import InvalidArgument
from gateway.inference.backend import ExampleBackend
from gateway.inference.catalog import Catalog
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, Tensors
from gateway.inference.suggestions import wrong_examples
from gateway.telemetry.trace import Trace


class ExamplePredictor:
    """Classifies and regresses. It keeps nothing of a request.

    ``as_tensors`` makes the tensors of examples that a trace tells of.
    """

    def __init__(self, catalog: Catalog, backend: ExampleBackend, as_tensors: Callable[[Examples], Tensors]) -> None:
        self._catalog = catalog
        self._backend = backend
        self._as_tensors = as_tensors

    async def classify(self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline) -> Classifications:
        """As ``AnyExamplePredictor.classify``."""
        async with self._under_way(model, trace, "classify", examples, deadline):
            answer = await self._backend.classify(model, trace.signature, examples, deadline, spans=trace.spans)
        trace.version, trace.outputs = answer.version, answer.tensors
        return answer

    async def regress(self, model: ModelRef, trace: Trace, examples: Examples, deadline: Deadline) -> Regressions:
        """As ``AnyExamplePredictor.regress``."""
        async with self._under_way(model, trace, "regress", examples, deadline):
            answer = await self._backend.regress(model, trace.signature, examples, deadline, spans=trace.spans)
        trace.version, trace.outputs = answer.version, answer.tensors
        return answer

    @asynccontextmanager
    async def _under_way(
        self, model: ModelRef, trace: Trace, method: str, examples: Examples, deadline: Deadline
    ) -> AsyncIterator[None]:
        """Note what is known before the call and how long it takes; explain why it is refused."""
        served = await self._catalog.served(model, deadline)
        trace.version, trace.rows = served.version, len(examples.examples)
        trace.inputs = partial(self._as_tensors, examples)
        trace.is_known = trace.signature in served.signatures
        if trace.when_built is not None:
            trace.tell_rows()
        trace.built_s = time.monotonic()
        try:
            yield
            trace.batch_rows = trace.rows
        except InvalidArgument as error:
            raise wrong_examples(error, method, trace.signature, served) from None
        finally:
            trace.answered_s = time.monotonic()
            trace.backend_s += trace.answered_s - trace.built_s
