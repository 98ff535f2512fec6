"""Which outputs of a version hold one row for each example: only from those may the row of a lone example be taken out.

The declaration does not tell: an output declared [-1] may hold a row for each example, or whatever was found in them. So when
a version is first asked about, the model is called once more, with the example among rows of zeros and ones: an output that
does not answer six rows with six holds no rows. What was found holds for as long as the version is served, so the shape of an
answer does not depend on the data.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.inference.deadline import Deadline
from gateway.inference.predictor import Backend
from gateway.inference.signature import ModelRef, Prediction, Signature, Tensors
from gateway.telemetry.logs import logger

log = logger("examples")

# Rows of zeros and of ones beside the example. Whatever numbers of rows an output has for a row of zeros and for one of ones,
# two and three of them make five only when each has one.
_ZEROS: Final = 2
_ONES: Final = 3
_ROWS: Final = _ZEROS + _ONES + 1

# Larger calls are not made for this; the declaration decides then.
_MOST_BYTES: Final = 8 * 2**20

_NO_ANSWER = (Unavailable, DeadlineExceeded)


class ExampleRows:
    """Knows the outputs of each version and signature that was asked about. Thread-safe."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[tuple[str, int, str], frozenset[str]] = {}

    def of(self, prediction: Prediction, signature: Signature, inputs: Tensors, deadline: Deadline) -> frozenset[str]:
        """The outputs of ``prediction``, which answered the one example in ``inputs``, whose dimension 0 counts examples."""
        key = (prediction.model, prediction.version, signature.name)
        known = self._known.get(key)
        if known is None:
            known = self._find_out(prediction, signature, inputs, deadline)
            if known is None:
                return _declared(signature) & _of_one_row(prediction.outputs)
            self._known[key] = known
        without = known - _of_one_row(prediction.outputs)
        if without:
            log.warning("outputs.hold_no_rows", model=key[0], version=key[1], signature=key[2], outputs=sorted(without))
            self._known[key] = known = known - without
        return known

    def forget(self, model: str, version: int) -> None:
        """The version is no longer served."""
        for key in [key for key in self._known if key[:2] == (model, version)]:
            self._known.pop(key, None)

    def _find_out(
        self, prediction: Prediction, signature: Signature, inputs: Tensors, deadline: Deadline
    ) -> frozenset[str] | None:
        """The outputs that hold rows; None when that is not to be known now."""
        declared = _declared(signature) & prediction.outputs.keys()
        if not declared:
            return frozenset()
        batched = [spec.name for spec in signature.inputs if spec.has_free_batch and spec.name in inputs]
        if sum(inputs[name].nbytes for name in batched) * _ROWS > _MOST_BYTES:
            return None
        model = ModelRef(prediction.model, prediction.version)
        for widen in (_among_others, _repeated):
            wider = {name: widen(array) if name in batched else array for name, array in inputs.items()}
            try:
                found = self._backend.predict(model, signature, wider, (), deadline)
            except _NO_ANSWER:
                return None
            except GatewayError:
                continue  # the model takes no such rows: the example itself it took
            return frozenset(name for name in declared if _rows(found.outputs.get(name)) == _ROWS)
        return declared


def _declared(signature: Signature) -> frozenset[str]:
    """The outputs that may hold rows by their declaration, where the inputs of the signature do."""
    if not any(spec.has_free_batch for spec in signature.inputs):
        return frozenset()
    return frozenset(spec.name for spec in signature.outputs if spec.may_count_rows)


def _of_one_row(outputs: Mapping[str, "npt.NDArray[Any]"]) -> frozenset[str]:
    return frozenset(name for name, array in outputs.items() if _rows(array) == 1)


def _rows(array: "npt.NDArray[Any] | None") -> int | None:
    return len(array) if array is not None and array.ndim else None


def _among_others(example: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    """``example``, of one row, behind rows of zeros and ones (strings: empty, and the digit one)."""
    zero, one = (b"", b"1") if example.dtype.hasobject else (0, 1)
    rows = np.full((_ROWS, *example.shape[1:]), one, example.dtype)
    rows[:_ZEROS] = zero
    rows[-1:] = example
    return rows


def _repeated(example: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    return np.repeat(example, _ROWS, axis=0)
