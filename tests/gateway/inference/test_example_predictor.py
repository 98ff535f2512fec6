"""Classify and Regress: what the trace knows of a call, and what a refusal says."""

import asyncio

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.examples import Classifications, Examples, Regressions
from gateway.inference.signature import ModelRef, ServedModel, Signature, TensorSpec
from gateway.telemetry.trace import Trace

SPEC = TensorSpec("x", dtypes.FLOAT, (None, 2))
SERVED = ServedModel("m", 3, {"serving_default": Signature("serving_default", "tensorflow/serving/predict", (SPEC,), (SPEC,))})


class Catalog:
    """Knows version 3."""

    async def served(self, model, deadline):
        return SERVED


class Backend:
    """Answers as version 4, or raises ``error``."""

    def __init__(self, error=None):
        self.error = error

    async def classify(self, model, signature, examples, deadline, *, spans=()):
        return Classifications(model.name, self.answer(), [[("a", 1.0)]] * 2)

    async def regress(self, model, signature, examples, deadline, *, spans=()):
        return Regressions(model.name, self.answer(), np.zeros(2, np.float32))

    def answer(self):
        if self.error is not None:
            raise self.error
        return 4


def call(method, backend, signature="serving_default"):
    trace = Trace("m", signature)
    predictor = ExamplePredictor(Catalog(), backend, lambda examples: {"inputs": np.zeros(len(examples.examples))})
    asking = getattr(predictor, method)(ModelRef("m"), trace, Examples([{}, {}]), Deadline.after(5))
    try:
        return trace, asyncio.run(asking)
    except InvalidArgument as error:
        return trace, error


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_the_trace_knows_the_rows_and_the_version_that_answered(method):
    trace, answer = call(method, Backend())
    assert answer.version == 4
    assert (trace.version, trace.rows, trace.is_known) == (4, 2, True)
    assert trace.backend_s > 0


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_a_refusal_says_what_there_is_and_the_trace_knows_which_version_was_asked(method):
    trace, error = call(method, Backend(InvalidArgument("Expected classification signature")), signature="nope")
    assert error.message.startswith("Expected classification signature")
    assert len(error.message) > len("Expected classification signature")
    assert (trace.version, trace.is_known) == (3, False)
