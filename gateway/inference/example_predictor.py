"""The path of one Classify or Regress call. Examples need no signature to be built, so there is nothing to build anew."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gateway.deadline import Deadline
from gateway.errors import InvalidArgument
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.hints import wrong_examples
from gateway.inference.predictor import Catalog, Trace
from gateway.inference.signature import ModelRef


class ExampleBackend(Protocol):
    """Runs signatures that take tf.Examples. Both calls raise GatewayError."""

    def classify(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Classifications:
        """Labels and scores for each example."""

    def regress(self, model: ModelRef, signature: str, examples: Examples, deadline: Deadline) -> Regressions:
        """A value for each example."""


class ExamplePredictor:
    """Classifies and regresses. Thread-safe: holds nothing of a request."""

    def __init__(self, catalog: Catalog, backend: ExampleBackend) -> None:
        self._catalog = catalog
        self._backend = backend

    def classify(self, trace: Trace, examples: Examples, deadline: Deadline) -> Classifications:
        """Labels and scores by the version that ``trace.model`` means.

        Raises:
            GatewayError: whatever the catalog or the backend raise.
            InvalidArgument: the signature is none for examples, or the model refuses them; the message says what there is.
        """
        with self._under_way(trace, "classify", examples, deadline):
            answer = self._backend.classify(trace.model, trace.signature, examples, deadline)
        trace.version = answer.version
        return answer

    def regress(self, trace: Trace, examples: Examples, deadline: Deadline) -> Regressions:
        """A value for each example. Raises as ``classify``."""
        with self._under_way(trace, "regress", examples, deadline):
            answer = self._backend.regress(trace.model, trace.signature, examples, deadline)
        trace.version = answer.version
        return answer

    @contextmanager
    def _under_way(self, trace: Trace, method: str, examples: Examples, deadline: Deadline) -> Iterator[None]:
        """Note what is known before the call and how long it takes; explain why it is refused."""
        served = self._catalog.served(trace.model, deadline)
        trace.version, trace.rows = served.version, len(examples.examples)
        trace.is_known = trace.signature in served.signatures
        started_s = time.perf_counter()
        try:
            yield
        except InvalidArgument as error:
            raise wrong_examples(error, method, trace.signature, served) from None
        finally:
            trace.backend_s += time.perf_counter() - started_s
