"""Models in numpy for tests of batches: some answer each row by itself, the others by what else is in the call."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from gateway.inference import dtypes
from gateway.inference.batching.record import ServedSignature
from gateway.inference.signature import ModelRef, Prediction, Signature, TensorSpec

MODEL = ModelRef("m")
VERSION_1 = ServedSignature("m", 1, "serving_default")


def signature(*outputs, name="serving_default", x=(None, 2)):
    """A signature of float ``x`` whose outputs are (name, dtype, shape)."""
    specs = tuple(TensorSpec(*output) for output in outputs) or (TensorSpec("y", dtypes.FLOAT, (None, None)),)
    return Signature(name, "tensorflow/serving/predict", (TensorSpec("x", dtypes.FLOAT, x),), specs)


SIGNATURE = signature()
FLAT = signature(("y", dtypes.FLOAT, (None,)))


def row_wise(x):
    return {"y": x * 3 + 1}


def total(x):
    return {"y": np.full_like(x, x.sum())}


# Those whose every shared call of different rows differs, so that not even one of them can be taken for a proof.
CERTAIN = ("cumulative sum", "normalised over the batch", "softmax over the batch", "the batch's total in each row")

# The signature and the function of models whose answer to a row depends on the rows beside it, or on nothing in the request.
DEPENDENT = {
    "cumulative sum": (SIGNATURE, lambda x: {"y": np.cumsum(x, axis=0)}),
    "normalised over the batch": (SIGNATURE, lambda x: {"y": (x - x.mean(0)) / (x.std(0) + 1e-3)}),
    "softmax over the batch": (SIGNATURE, lambda x: {"y": np.exp(x) / np.exp(x).sum(0)}),
    "the batch's total in each row": (SIGNATURE, total),
    "sorted": (SIGNATURE, lambda x: {"y": np.sort(x, axis=0)}),
    "reversed": (SIGNATURE, lambda x: {"y": x[::-1]}),
    "padded to the longest": (SIGNATURE, lambda x: {"y": np.zeros((len(x), 1 + int(4 * x.max())), np.float32)}),
    "found": (FLAT, lambda x: {"y": x[x > 0.5]}),
    "distinct": (FLAT, lambda x: {"y": np.unique(x)}),
    "a constant of one row": (FLAT, lambda x: {"y": np.float32([7])}),
    "a constant of four rows": (FLAT, lambda x: {"y": np.float32([1, 2, 3, 4])}),
    "a constant beside rows": (
        signature(("y", dtypes.FLOAT, (None, None)), ("z", dtypes.INT64, (None,))),
        lambda x: {"y": x * 2, "z": np.arange(3)},
    ),
    "a number for the whole batch": (FLAT, lambda x: {"y": np.array(x.sum())}),
    "its place in the batch": (signature(("y", dtypes.INT64, (None,))), lambda x: {"y": np.arange(len(x))}),
    "text of the batch's size": (
        signature(("y", dtypes.STRING, (None,))),
        lambda x: {"y": np.array([b"%d" % len(x)] * len(x), object)},
    ),
}


@dataclass
class ModelBackend:
    """Calls ``run`` when ``gate`` is open, as version ``version``; ``calls`` holds the inputs of every call that began."""

    run: object = row_wise
    version: int = 1
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[np.ndarray] = field(default_factory=list)
    error: Exception | None = None
    takes_s: float = 0.0  # for each call, so that calls of several clients meet

    def __post_init__(self):
        self.gate.set()

    async def predict(self, model, signature, inputs, outputs, deadline, *, spans=()):
        self.calls.append(inputs["x"])
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining_s())):
                await self.gate.wait()
        except TimeoutError:
            raise deadline.exceeded() from None
        await asyncio.sleep(self.takes_s)
        if self.error is not None and len(inputs["x"]) > 1:
            raise self.error
        given = self.run(inputs["x"])
        wanted = {name: array for name, array in given.items() if name in (outputs or given)}
        return Prediction(model.name, model.version or self.version, signature.name, wanted)

    def rows_called(self):
        return [len(x) for x in self.calls]


def is_idle(batcher):
    """Whether nothing waits, is called or is compared."""
    dispatcher = batcher._dispatcher
    return not (dispatcher._queues or dispatcher._tasks or dispatcher._comparisons._tasks)
