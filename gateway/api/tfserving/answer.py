"""What models answer -> JSON bytes, as ``util/json_tensor.cc`` has them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson

from gateway.codec import json_output
from gateway.codec.elements import Array, dtype_of
from gateway.codec.json_output import OPTIONS, NonFinite, float_output, native_array, split_output, string_output
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from gateway.inference.examples import Classifications, Regressions
from gateway.inference.signature import Tensors

_NO_FORM: Final = (dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16, dtypes.COMPLEX64, dtypes.COMPLEX128)
# The numbers that orjson writes as this dialect has them, by numpy's characters, which are cheaper to compare than dtypes.
_PLAIN: Final = frozenset(np.dtype(dtype.numpy).char for dtype in dtypes.DTYPES if dtype not in _NO_FORM) - {"O"}


def predict_answer(outputs: Tensors, row: bool, non_finite: NonFinite = "tokens") -> bytes:
    """A :predict answer as ``util/json_tensor.cc`` has it.

    ``{"predictions": [...]}`` for a request in row format, else ``{"outputs": ...}``. Numbers that are not finite are
    written as ``non_finite`` says. A string of an output whose name ends in ``_bytes``, or one that is not UTF-8 (where
    upstream's answer would be no JSON), becomes ``{"b64": ...}``. Raises InvalidArgument with upstream's text, and
    OutOfRange as ``json_output.float_output``.
    """
    key = "predictions" if row else "outputs"
    plain = _plain(outputs, key, non_finite)
    if plain is not None:
        return plain
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    if row:
        _check_batch(outputs)
    values = {name: _compatible(name, array, non_finite) for name, array in outputs.items()}
    if not row or len(values) == 1:
        return orjson.dumps({key: json_output.bare_if_one(values)}, option=OPTIONS)
    columns = [split_output(array, values[name]) for name, array in outputs.items()]
    examples = [dict(zip(values, example, strict=True)) for example in zip(*columns, strict=True)]
    return orjson.dumps({key: examples}, option=OPTIONS)


def classify_answer(answer: Classifications, non_finite: NonFinite) -> bytes:
    """A :classify answer, ``{"results": [[[label, score], ...], ...]}``, with scores as short as float32 allows.

    Raises InvalidArgument with upstream's text when there is no result, OutOfRange as ``json_output.float_output``.
    """
    if not answer.rows:
        raise InvalidArgument("Cannot convert empty ClassificationResults to JSON")
    return _dump([_labelled(row, non_finite) for row in answer.rows])


def regress_answer(answer: Regressions, non_finite: NonFinite) -> bytes:
    """A :regress answer, ``{"results": [value, ...]}``. Raises as ``classify_answer``."""
    if not len(answer.values):
        raise InvalidArgument("Cannot convert empty RegressionResults to JSON")
    return _dump(float_output("results", answer.values, non_finite))


def _labelled(row: Sequence[tuple[str, float]], non_finite: NonFinite) -> list[Any]:
    scores = np.array([score for _, score in row], dtype=np.float32)
    if np.isfinite(scores).all():
        return [[label, score] for (label, _), score in zip(row, scores, strict=True)]
    return [[label, float_output("results", score, non_finite)] for (label, _), score in zip(row, scores, strict=True)]


def _dump(results: Any) -> bytes:
    return orjson.dumps({"results": results}, option=OPTIONS)


def _plain(outputs: Tensors, key: str, non_finite: NonFinite) -> bytes | None:
    """An object of ``key`` and the only output; None if orjson alone would not write it as this dialect does."""
    if len(outputs) != 1:
        return None
    (array,) = outputs.values()
    if not array.ndim or array.dtype.char not in _PLAIN or not array.flags.c_contiguous:
        return None
    text = orjson.dumps({key: array}, option=OPTIONS)
    # Of null, which numbers that are not finite have become, one letter is enough: nothing else behind the key has it.
    return text if non_finite == "null" or text.find(b"n", len(key) + 4) < 0 else None


def _check_batch(outputs: Tensors) -> None:
    sizes = [len(array) for array in outputs.values() if array.ndim]
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if len(array) != sizes[0]:
            raise InvalidArgument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {sizes[0]}")


def _compatible(name: str, array: Array, non_finite: NonFinite) -> Any:
    """What orjson writes for ``array`` in the compatible dialect."""
    dtype = dtype_of(array)
    if dtype in _NO_FORM:
        if array.size:
            raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype}")
        return np.zeros(array.shape).tolist()
    if dtype == dtypes.STRING:
        return string_output(name, array)
    numbers = native_array(array)
    return float_output(name, numbers, non_finite) if array.dtype.kind == "f" else numbers
