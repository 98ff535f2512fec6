"""The SavedModel as every peer loads and calls it: one file, so that what differs between them is theirs."""

import gc
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]

# A call with a new number of rows costs more the first time; every size that a batch may have is met before a client waits.
_WARM_UP_ROWS = 64
_WARM_UP_NUMBERS = 1 << 20


class Model:
    """``serving_default`` of a SavedModel folder, warmed up: one float32 input [-1, ...], one float32 output [-1, ...]."""

    def __init__(self, saved_model: str) -> None:
        # The function does not keep the variables alive: the loaded object does.
        self._loaded = tf.saved_model.load(saved_model)
        self._function = self._loaded.signatures["serving_default"]
        ((self._input, spec),) = self._function.structured_input_signature[1].items()
        (self._output,) = self._function.structured_outputs
        self._warm_up(tuple(spec.shape[1:]))
        # TensorFlow's objects are here to stay: walking all of them stalls a server for tenths of a second, again and again.
        gc.collect()
        gc.freeze()

    def __call__(self, rows: Floats) -> Floats:
        """Return the predictions for these rows, first dimension rows. Threads may call it at once."""
        answer: Floats = self._function(**{self._input: tf.constant(rows)})[self._output].numpy()
        return answer

    def each(self, requests: Sequence[Floats]) -> list[Floats]:
        """Return each request's own predictions, from one call with the rows of all."""
        answers = self(requests[0] if len(requests) == 1 else np.concatenate(requests))
        ends = itertools.accumulate(map(len, requests))
        return [answers[end - len(rows) : end] for rows, end in zip(requests, ends, strict=True)]

    def _warm_up(self, shape: tuple[int, ...]) -> None:
        largest = max(1, min(_WARM_UP_ROWS, _WARM_UP_NUMBERS // int(np.prod(shape))))
        for rows in range(1, largest + 1):
            self(np.zeros((rows, *shape), np.float32))
