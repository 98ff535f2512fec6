"""Only outputs that hold a row for each example lose a dimension, whatever the data of the first example was."""

import asyncio

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, InvalidArgument, Unavailable
from gateway.inference import dtypes
from gateway.inference.batching.difference import NOT_ROWS, Difference
from gateway.inference.batching.record import ServedSignature
from gateway.inference.batching.records import Records
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.example_rows import ExampleRows
from gateway.inference.signature import ModelRef, Prediction, Signature, TensorSpec


def signature(output_shape=(None,), input_shape=(None, 2), dtype=dtypes.FLOAT):
    inputs = (TensorSpec("x", dtype, input_shape),)
    return Signature("serving_default", "tensorflow/serving/predict", inputs, (TensorSpec("y", dtype, output_shape),))


class Model:
    """Calls ``run`` with x and counts the calls."""

    def __init__(self, run, error=None):
        self.run = run
        self.error = error
        self.asked = []

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        self.asked.append((model, inputs["x"]))
        if self.error is not None and len(inputs["x"]) > 1:
            raise self.error
        return Prediction(model.name, model.version or 1, signature.name, {"y": np.asarray(self.run(inputs["x"]))})


def ask(rows, model, sig, example):
    inputs = {"x": np.asarray(example)[np.newaxis]}

    async def run():
        deadline = Deadline.after(5)
        return await rows.of(await model.predict(ModelRef("m"), sig, inputs, (), deadline), sig, inputs, deadline)

    return asyncio.run(run())


EXAMPLES = [[0.1, 0.9], [0.9, 0.1], [0.1, 0.2], [0.8, 0.9], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x[x > 0.5],
        lambda x: x[x <= 0.5],
        lambda x: x[x >= 0],
        lambda x: x[np.abs(x) < 2],
        lambda x: x[x < 100],
        np.unique,
        lambda x: np.unique(x[:, :1]),
        lambda x: np.float32([7]),
        lambda x: x.max(keepdims=True)[0],
        lambda x: np.float32(x.sum()),
        np.flatnonzero,
        lambda x: x.ravel(),
    ],
    ids=[
        "found",
        "found below",
        "not negative",
        "small",
        "not large",
        "distinct",
        "distinct firsts",
        "constant",
        "largest",
        "total",
        "places",
        "flattened",
    ],
)
@pytest.mark.parametrize("first", range(len(EXAMPLES)))
def test_an_output_that_holds_no_rows_keeps_its_shape_whatever_is_asked_first(run, first):
    model, rows = Model(run), ExampleRows(Model(run), Records(8))
    for example in EXAMPLES[first:] + EXAMPLES[:first]:
        assert ask(rows, model, signature(), np.float32(example)) == frozenset()


@pytest.mark.parametrize("dtype", [dtypes.FLOAT, dtypes.INT32, dtypes.BOOL, dtypes.STRING, dtypes.BFLOAT16], ids=str)
def test_an_output_that_holds_rows_is_found_with_one_more_call(dtype):
    model = Model(lambda x: x[:, 0])
    rows = ExampleRows(model, Records(8))
    example = np.array([b"a", b"b"], object) if dtype == dtypes.STRING else np.ones(2, dtype.numpy)
    for _ in range(3):
        assert ask(rows, model, signature(dtype=dtype), example) == {"y"}
    [extra] = [asked for asked in model.asked if len(asked[1]) > 1]
    assert extra[0] == ModelRef("m", version=1)
    assert len(extra[1]) == 18
    assert extra[1].dtype == dtype.numpy


@pytest.mark.parametrize(
    ("output_shape", "input_shape"), [((1,), (None, 2)), ((2,), (None, 2)), ((), (None, 2)), ((None,), (1, 2))]
)
def test_a_declaration_without_a_free_dimension_0_decides_without_a_call(output_shape, input_shape):
    model = Model(lambda x: np.float32([1]))
    assert ask(ExampleRows(model, Records(8)), model, signature(output_shape, input_shape), np.float32([1, 2])) == frozenset()
    assert len(model.asked) == 1


def test_a_model_that_refuses_some_rows_is_asked_with_each_of_them_apart():
    def run(x):
        if (x == 0).any():
            raise InvalidArgument("not invertible")
        return x[x > 0.5]

    model = Model(run)
    assert ask(ExampleRows(model, Records(8)), model, signature(), np.float32([0.9, 0.1])) == frozenset()
    assert [len(asked[1]) for asked in model.asked] == [1, 18, 2, 2, 2, 2, 2]


def test_a_model_that_takes_one_row_only_is_taken_at_its_declaration():
    model = Model(lambda x: x[:, 0], InvalidArgument("one row at a time"))
    rows = ExampleRows(model, Records(8))
    for _ in range(2):
        assert ask(rows, model, signature(), np.float32([3, 4])) == {"y"}
    assert len(model.asked) == 8


def test_text_that_must_be_a_number_is_asked_about_too():
    def run(x):
        numbers = np.array([float(text) for text in x.ravel()])
        return numbers[numbers > 0.5]

    def refusing(x):
        try:
            return run(x)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None

    for first in ([b"0.9", b"0.1"], [b"0.1", b"0.2"]):
        model = Model(refusing)
        rows = ExampleRows(model, Records(8))
        assert ask(rows, model, signature(dtype=dtypes.STRING), np.array(first, object)) == frozenset()


def test_a_model_that_is_slow_is_not_asked_again():
    model = Model(lambda x: x[:, 0], DeadlineExceeded("late"))
    rows = ExampleRows(model, Records(8))
    for _ in range(3):
        assert ask(rows, model, signature(), np.float32([0.9, 0])) == {"y"}
    assert len(model.asked) == 4


def test_what_one_worker_finds_all_workers_know(tmp_path):
    """Only an example of sevens finds nothing, which no probe row can tell."""
    model = Model(lambda x: x[(x != 7).all(axis=1), 0])
    workers = [ExampleRows(model, Records(8, VerdictFile(tmp_path / "verdicts"))) for _ in range(2)]
    for rows in workers:
        assert ask(rows, model, signature(), np.float32([1, 2])) == {"y"}
    assert ask(workers[0], model, signature(), np.float32([7, 7])) == frozenset()
    for rows in workers:
        assert ask(rows, model, signature(), np.float32([1, 2])) == frozenset()


def test_what_batches_have_shown_is_known():
    records = Records(8)
    records.refuse(ServedSignature("m", 1, "serving_default"), Difference("y", NOT_ROWS))
    model = Model(lambda x: x[:, 0])
    assert ask(ExampleRows(model, records), model, signature(), np.float32([1, 2])) == frozenset()


def test_while_the_server_is_away_nothing_is_known_and_it_is_asked_again():
    model = Model(lambda x: x[x > 0.5], Unavailable("away"))
    rows = ExampleRows(model, Records(8))
    assert ask(rows, model, signature(), np.float32([0.9, 0])) == {"y"}
    assert ask(rows, model, signature(), np.float32([0.9, 0.8])) == frozenset()
    model.error = None
    assert ask(rows, model, signature(), np.float32([0.9, 0])) == frozenset()


def test_a_large_example_is_not_multiplied():
    model = Model(lambda x: x[:, 0])
    assert ask(ExampleRows(model, Records(8)), model, signature(input_shape=(None, None)), np.zeros(2**20, np.float32)) == {"y"}
    assert len(model.asked) == 1


def test_a_version_that_left_is_forgotten():
    model = Model(lambda x: x[x > 0.5])
    records = Records(8)
    rows = ExampleRows(model, records)
    ask(rows, model, signature(), np.float32([0.9, 0]))
    model.run = lambda x: x[:, 0]
    rows.forget({("m", 1)})
    records.forget({("m", 1)})
    assert ask(rows, model, signature(), np.float32([0.9, 0])) == {"y"}


def test_requests_that_come_together_ask_once():
    class Slow(Model):
        async def predict(self, *args):
            await asyncio.sleep(0)
            return await super().predict(*args)

    model = Slow(lambda x: x[:, :1])
    rows, sig, inputs = ExampleRows(model, Records(proofs=1)), signature((None, 1)), {"x": np.zeros((1, 2), np.float32)}
    answer = Prediction("m", 1, sig.name, {"y": np.zeros((1, 1), np.float32)})

    async def ask_all():
        deadline = Deadline.after(5)
        return await asyncio.gather(*(rows.of(answer, sig, inputs, deadline) for _ in range(64)))

    assert asyncio.run(ask_all()) == [frozenset({"y"})] * 64
    assert len(model.asked) == 1
