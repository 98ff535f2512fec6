"""The predictor survives a rollout between its look into the catalog and the call, and repeats itself once at most."""

import asyncio

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from gateway.inference import dtypes
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec
from gateway.telemetry.trace import Trace


def signature(width: int) -> Signature:
    spec = TensorSpec("x", dtypes.FLOAT, (None, width))
    return Signature("serving_default", "tensorflow/serving/predict", (spec,), (spec,))


def version(number: int, width: int = 2) -> ServedModel:
    return ServedModel("m", number, {"serving_default": signature(width)})


class FakeCatalog:
    """Remembers ``known``; the server has ``actual``."""

    def __init__(self, known: ServedModel, *actual: ServedModel) -> None:
        self.known = known
        self.actual = {served.version: served for served in (known, *actual)}
        self.refreshes = 0
        self.missing = []

    async def served(self, model, deadline):
        return self.known if model.version is None else self.actual[model.version]

    async def refreshed(self, model, deadline):
        self.refreshes += 1
        return self.actual[max(self.actual)]

    def note_missing(self, model):
        self.missing.append(model)


class FakeBackend:
    """Answers as version ``answers``; refuses what is not as wide as its signature."""

    def __init__(self, answers: ServedModel, *errors: Exception) -> None:
        self.answers = answers
        self.errors = list(errors)
        self.calls = 0

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        expected = self.answers.signatures["serving_default"]
        if signature != expected:
            raise InvalidArgument("the model refuses")
        return Prediction(model.name, self.answers.version, signature.name, inputs)


async def build(signature):
    return {"x": np.zeros((3, signature.inputs[0].shape[1]), np.float32)}


def predict(catalog, backend, model=ModelRef("m"), build=build):  # noqa: B008 - a frozen value
    trace = Trace(model.name, "serving_default")
    return trace, asyncio.run(Predictor(catalog, backend).predict(model, trace, build, Deadline.after(5)))


def test_the_trace_knows_what_was_done():
    trace, prediction = predict(FakeCatalog(version(1)), FakeBackend(version(1)))
    assert prediction.version == 1
    assert (trace.version, trace.signature, trace.rows) == (1, "serving_default", 3)
    assert trace.backend_s > 0


def test_a_newer_version_with_the_same_signature_is_taken_as_it_is():
    backend = FakeBackend(version(2))
    trace, prediction = predict(FakeCatalog(version(1), version(2)), backend)
    assert (prediction.version, trace.version, backend.calls) == (2, 2, 1)


def test_a_newer_version_with_another_signature_gets_tensors_of_its_own():
    backend = FakeBackend(version(2, width=5))
    trace, prediction = predict(FakeCatalog(version(1), version(2, width=5)), backend)
    assert prediction.outputs["x"].shape == (3, 5)
    assert (trace.version, backend.calls) == (2, 2)


def test_an_answer_to_tensors_of_the_wrong_signature_is_not_trusted():
    """The new version may take the old tensors and mean something else by them."""
    backend = FakeBackend(version(1))
    answered_by_two = Prediction("m", 2, "serving_default", {})
    first = backend.predict

    async def once(model, signature, inputs, outputs, deadline, *, spans=()):
        backend.predict = first
        backend.answers = version(2, width=5)
        backend.calls += 1
        return answered_by_two

    backend.predict = once
    _, prediction = predict(FakeCatalog(version(1), version(2, width=5)), backend)
    assert prediction.outputs["x"].shape == (3, 5)


def test_a_body_that_only_fits_the_newer_version_is_built_for_it():
    async def build_for_five(signature):
        if signature.inputs[0].shape[1] != 5:
            raise InvalidArgument("does not fit")
        return {"x": np.zeros((1, 5), np.float32)}

    _, prediction = predict(
        FakeCatalog(version(1), version(2, width=5)), FakeBackend(version(2, width=5)), build=build_for_five
    )
    assert prediction.version == 2


def test_a_pinned_version_is_never_replaced():
    catalog = FakeCatalog(version(1), version(2, width=5))
    with pytest.raises(InvalidArgument, match="the model refuses"):
        predict(catalog, FakeBackend(version(2, width=5)), ModelRef("m", version=1))
    assert catalog.refreshes == 0


@pytest.mark.parametrize("error", [InvalidArgument("bad"), FailedPrecondition("bad")], ids=lambda error: error.code)
def test_a_refusal_stands_when_nothing_has_changed(error):
    backend = FakeBackend(version(1), error)
    with pytest.raises(type(error), match="bad"):
        predict(FakeCatalog(version(1)), backend)
    assert backend.calls == 1


def test_a_refusal_stands_when_the_catalog_cannot_be_asked():
    catalog = FakeCatalog(version(1))

    async def away(model, deadline):
        raise Unavailable("away")

    catalog.refreshed = away
    with pytest.raises(InvalidArgument, match="bad"):
        predict(catalog, FakeBackend(version(1), InvalidArgument("bad")))


def test_other_errors_are_not_looked_into():
    catalog = FakeCatalog(version(1), version(2, width=5))
    with pytest.raises(NotFound):
        predict(catalog, FakeBackend(version(1), NotFound("Servable not found for request: Latest(m)")))
    assert catalog.refreshes == 0
    assert catalog.missing == [ModelRef("m")]


def test_what_the_model_itself_does_not_find_leaves_the_catalog_as_it_is():
    catalog = FakeCatalog(version(1))
    with pytest.raises(NotFound):
        predict(catalog, FakeBackend(version(1), NotFound("no such key in the table")))
    assert catalog.missing == []


def test_an_unknown_signature_names_those_there_are():
    trace = Trace("m", "nope")
    served = ServedModel("m", 1, {"serving_default": signature(2), "__saved_model_init_op": signature(1)})
    with pytest.raises(InvalidArgument) as caught:
        asyncio.run(Predictor(FakeCatalog(served), FakeBackend(served)).predict(ModelRef("m"), trace, build, Deadline.after(5)))
    assert '"nope" not found in signature def' in caught.value.message
    assert "serving_default" in caught.value.message
    assert "__saved_model_init_op" not in caught.value.message


def test_rows_are_only_told_when_all_inputs_agree():
    async def build_uneven(signature):
        return {"x": np.zeros((3, 2), np.float32), "scale": np.float32(1).reshape(())}

    trace, _ = predict(FakeCatalog(version(1)), FakeBackend(version(1)), build=build_uneven)
    assert trace.rows is None
