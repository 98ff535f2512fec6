"""Which outputs of a version hold one row for each example: only from those may the row of a lone example be taken out.

The declaration does not say: an output declared [-1] may hold a row for each example, or whatever was found in them. So at the
first example of a version the model is called once more, with the example behind rows that no client sent (or behind each of
them alone, if the model refuses some). An output that has another number of rows than the call holds no rows. What is found
holds for as long as the version is served, in all workers.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.backend import Backend
from gateway.inference.batching.difference import NOT_ROWS, Difference
from gateway.inference.batching.probe_rows import filled_rows
from gateway.inference.batching.record import ServedSignature
from gateway.inference.batching.records import Records
from gateway.inference.batching.rows import outputs_without_rows
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


class ExampleRows:
    """Knows the outputs of each version and signature that got an example."""

    def __init__(self, backend: Backend, records: Records) -> None:
        self._backend = backend
        self._records = records
        self._known: dict[ServedSignature, frozenset[str]] = {}
        self._questions: SingleFlight[frozenset[str]] = SingleFlight()

    async def of(self, prediction: Prediction, signature: Signature, inputs: Tensors, deadline: Deadline) -> frozenset[str]:
        """The outputs of ``prediction``, which answered the one example in ``inputs``, whose dimension 0 counts examples."""
        key = ServedSignature(prediction.model, prediction.version, signature.name)
        known = self._known.get(key)
        if known is None:
            declared = _declared_outputs(signature)
            find_out = partial(self._find_out, key, signature, declared & prediction.outputs.keys(), inputs, deadline)
            try:
                known = self._known[key] = await self._questions.ask(key, deadline, find_out)
            except Unavailable:
                known = declared  # until the next example
        of_one_row = prediction.outputs.keys() - outputs_without_rows(prediction.outputs, 1)
        for name in known - of_one_row:
            self._refuse(key, name)
        self._records.take_news()
        return (known - self._records.without_rows(key)) & of_one_row

    def forget(self, gone: Collection[tuple[str, int]]) -> None:
        """Forget versions that are no longer served, by name and number."""
        for key in [key for key in self._known if key[:2] in gone]:
            del self._known[key]

    async def _find_out(
        self, key: ServedSignature, signature: Signature, declared: frozenset[str], inputs: Tensors, deadline: Deadline
    ) -> frozenset[str]:
        """Give back ``declared``, once it is noted which of them do not hold rows. Raises Unavailable."""
        probed = _probed_inputs(signature, inputs)
        if not declared or sum(inputs[name].nbytes for name in probed) * sum(_TIMES) > _MOST_BYTES:
            return declared

        async def is_accepted(turns: list[int]) -> bool:
            """Note what shows when the rows ``turns`` are before the example; whether the model accepts them."""
            among = {name: _behind(array, turns) if name in probed else array for name, array in inputs.items()}
            try:
                found = await self._backend.predict(ModelRef(*key[:2]), signature, among, (), deadline)
            except (Unavailable, DeadlineExceeded):
                raise
            except GatewayError:
                return False
            for name in declared.intersection(outputs_without_rows(found.outputs, len(turns) + 1)):
                self._refuse(key, name)
            return True

        try:
            if not await is_accepted([turn for turn, times in enumerate(_TIMES) for _ in range(times)]):
                for turn in range(len(_TIMES)):
                    await is_accepted([turn])
        except DeadlineExceeded:
            pass  # a model that is so slow is not asked again
        return declared

    def _refuse(self, key: ServedSignature, output: str) -> None:
        """Requests for such a signature are never joined either, and all workers know."""
        self._records.refuse(key, Difference(output, NOT_ROWS))


def _declared_outputs(signature: Signature) -> frozenset[str]:
    """The outputs that may hold rows by their declaration; none if no input does."""
    if not any(spec.has_free_batch for spec in signature.inputs):
        return frozenset()
    return frozenset(spec.name for spec in signature.outputs if spec.may_count_rows)


def _probed_inputs(signature: Signature, inputs: Tensors) -> frozenset[str]:
    return frozenset(spec.name for spec in signature.inputs if spec.has_free_batch and spec.name in inputs)


def _behind(example: "npt.NDArray[Any]", turns: list[int]) -> "npt.NDArray[Any]":
    """``example``, of one row, behind rows that no client sent."""
    return np.concatenate([filled_rows(example, [_value(example, turn) for turn in turns]), example])


def _value(example: "npt.NDArray[Any]", turn: int) -> bytes | int:
    if example.dtype.hasobject:
        return _TEXTS[turn]
    if example.dtype.kind not in "iu":
        return _NUMBERS[turn]
    # No more than the dtype holds; and integers are often places in a table, so none is far from what was sent.
    return int(np.clip(_NUMBERS[turn], min(0, int(example.min())), max(1, int(example.max()))))
