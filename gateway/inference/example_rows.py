"""Which outputs of a version hold one row for each example: only from those may the row of a lone example be taken out.

The declaration does not say: an output declared [-1] may hold a row for each example, or whatever was found in them. So at the
first example of a version the model is called once more, with the example behind rows that no client sent (or behind each of
them alone, if the model refuses some). An output that has another number of rows than the call holds no rows. What is found
holds for as long as the version is served, in all workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching.comparison import NOT_ROWS, Difference
from gateway.inference.batching.record import Records
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.inference.single_flight import SingleFlight

# Rows beside the example, and how often each is in the call that has them all. An output of things that are found in rows holds
# those of all copies of a row or of none. The copies differ in number, and are a prime number together, so that such an output
# does not have as many rows as the call.
_NUMBERS: Final = (0, 1, -1, 1000, -1000)
_TEXTS: Final = (b"", b"0", b"1", b"-1", b"one two three")
_TIMES: Final = (1, 2, 3, 4, 7)

# Larger calls are not made for this; the declaration decides then.
_MOST_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True)
class _Question:
    """An example of a version and signature to be found out about; ``batched`` names its inputs that have a row."""

    key: tuple[str, int, str]
    signature: Signature
    inputs: Tensors
    batched: frozenset[str]
    deadline: Deadline

    def behind(self, turns: list[int]) -> Tensors:
        """The inputs with the rows ``turns`` before the example."""
        return {name: _behind(array, turns) if name in self.batched else array for name, array in self.inputs.items()}


class ExampleRows:
    """Knows the outputs of each version and signature that got an example."""

    def __init__(self, backend: Backend, records: Records) -> None:
        self._backend = backend
        self._records = records
        self._known: dict[tuple[str, int, str], frozenset[str]] = {}
        self._questions: SingleFlight[frozenset[str] | None] = SingleFlight()

    async def of(self, prediction: Prediction, signature: Signature, inputs: Tensors, deadline: Deadline) -> frozenset[str]:
        """The outputs of ``prediction``, which answered the one example in ``inputs``, whose dimension 0 counts examples."""
        key = (prediction.model, prediction.version, signature.name)
        known = self._known.get(key)
        if known is None:
            find_out = partial(self._find_out, prediction, signature, inputs, deadline)
            known = await self._questions.ask(key, deadline, find_out)
            if known is None:
                known = _declared(signature)
            else:
                self._known[key] = known
        for name in known - _of_one_row(prediction.outputs):
            self._refuse(key, name)
        self._records.take_news()
        return (known - self._records.without_rows(*key)) & _of_one_row(prediction.outputs)

    def forget(self, model: str, version: int) -> None:
        """Forget a version that is no longer served."""
        for key in [key for key in self._known if key[:2] == (model, version)]:
            self._known.pop(key, None)

    async def _find_out(
        self, prediction: Prediction, signature: Signature, inputs: Tensors, deadline: Deadline
    ) -> frozenset[str] | None:
        """The outputs that may hold rows, once it is noted which of them do not; None if that cannot be found out now."""
        key = (prediction.model, prediction.version, signature.name)
        declared = _declared(signature) & prediction.outputs.keys()
        if not declared:
            return frozenset()
        batched = [spec.name for spec in signature.inputs if spec.has_free_batch and spec.name in inputs]
        if sum(inputs[name].nbytes for name in batched) * sum(_TIMES) > _MOST_BYTES:
            return declared
        question = _Question(key, signature, inputs, frozenset(batched), deadline)
        together = [turn for turn, times in enumerate(_TIMES) for _ in range(times)]
        try:
            if not await self._ask(question, together):
                for turn in range(len(_TIMES)):
                    await self._ask(question, [turn])
        except Unavailable:
            return None
        except DeadlineExceeded:
            # A model that is so slow is not asked again.
            return declared
        return declared

    async def _ask(self, question: "_Question", turns: list[int]) -> bool:
        """Call the model with the rows ``turns`` before the example and note what shows; whether the model accepted them."""
        model, signature = ModelRef(*question.key[:2]), question.signature
        try:
            found = await self._backend.predict(model, signature, question.behind(turns), (), question.deadline)
        except (Unavailable, DeadlineExceeded):
            raise
        except GatewayError:
            return False
        for name in _declared(signature) & found.outputs.keys():
            if _rows(found.outputs[name]) != len(turns) + 1:
                self._refuse(question.key, name)
        return True

    def _refuse(self, key: tuple[str, int, str], output: str) -> None:
        """Requests for such a signature are never joined either, and all workers know."""
        self._records.refuse(*key, Difference(output, NOT_ROWS))


def _declared(signature: Signature) -> frozenset[str]:
    """The outputs that may hold rows by their declaration; none if no input does."""
    if not any(spec.has_free_batch for spec in signature.inputs):
        return frozenset()
    return frozenset(spec.name for spec in signature.outputs if spec.may_count_rows)


def _of_one_row(outputs: Mapping[str, "npt.NDArray[Any]"]) -> frozenset[str]:
    return frozenset(name for name, array in outputs.items() if _rows(array) == 1)


def _rows(array: "npt.NDArray[Any] | None") -> int | None:
    return len(array) if array is not None and array.ndim else None


def _behind(example: "npt.NDArray[Any]", turns: list[int]) -> "npt.NDArray[Any]":
    """``example``, of one row, behind rows that no client sent."""
    rows = np.empty((len(turns) + 1, *example.shape[1:]), example.dtype)
    for position, turn in enumerate(turns):
        rows[position] = _value(example, turn)
    rows[-1:] = example
    return rows


def _value(example: "npt.NDArray[Any]", turn: int) -> bytes | int:
    if example.dtype.hasobject:
        return _TEXTS[turn]
    if example.dtype.kind not in "iu":
        return _NUMBERS[turn]
    # No more than the dtype holds; and integers are often places in a table, so none is far from what was sent.
    return int(np.clip(_NUMBERS[turn], min(0, int(example.min())), max(1, int(example.max()))))
