"""Output tensors -> JSON bytes, for the two dialects.

Numbers are as short as their dtype allows and read back to the same value in it: a float32 is never widened to a double's
digits. Integers are plain, floats keep a ``.0`` or an exponent. Whatever the tensors hold, strings are valid UTF-8.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson

from gateway.codec import b64
from gateway.codec.elements import Array
from gateway.errors import InvalidArgument, OutOfRange, Unimplemented
from gateway.inference import dtypes
from gateway.inference.signature import Tensors

NonFinite: TypeAlias = Literal["tokens", "null", "error"]
"""How numbers that are not finite are written: see ``floats``."""

_BYTES_SUFFIX: Final = "_bytes"
_DTYPES: Final = {dtype.numpy: dtype for dtype in dtypes.DTYPES}
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY
_NO_COMPATIBLE_FORM: Final = (dtypes.HALF, dtypes.BFLOAT16, dtypes.UINT16, dtypes.COMPLEX64, dtypes.COMPLEX128)
# The numbers that orjson writes as this dialect has them, by numpy's characters, which are cheaper to compare than dtypes.
_PLAIN: Final = frozenset(np.dtype(dtype.numpy).char for dtype in dtypes.DTYPES if dtype not in _NO_COMPATIBLE_FORM) - {"O"}


def dump_predict(outputs: Tensors, row: bool, non_finite: NonFinite = "tokens") -> bytes:
    """A :predict answer as ``util/json_tensor.cc`` has it.

    ``{"predictions": [...]}`` for a request in row format, else ``{"outputs": ...}``. Numbers that are not finite are
    written as ``non_finite`` says. A string of an output whose name ends in ``_bytes``, or one that is not UTF-8 (where
    upstream's answer would be no JSON), becomes ``{"b64": ...}``. Raises InvalidArgument with upstream's text, and
    OutOfRange as ``floats``.
    """
    plain = _plain(outputs, "predictions" if row else "outputs", non_finite)
    if plain is not None:
        return plain
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    if row:
        _check_batch(outputs)
        return orjson.dumps({"predictions": _rows(outputs, non_finite)}, option=_OPTIONS)
    values = {name: _compatible(name, array, non_finite) for name, array in outputs.items()}
    return orjson.dumps({"outputs": _bare_if_one(values)}, option=_OPTIONS)


def dump_simple(outputs: Tensors) -> bytes:
    """The value of ``prediction`` in a ``/predict`` answer: the bare value of one output, an object of several.

    Numbers that are not finite are null. Raises Unimplemented for a complex output.
    """
    values = {name: _legal(name, array) for name, array in outputs.items()}
    return orjson.dumps(_bare_if_one(values), option=_OPTIONS)


def _plain(outputs: Tensors, key: str, non_finite: NonFinite) -> bytes | None:
    """An object of ``key`` and the only output, if there is nothing about its dtype, its order or its numbers to look after."""
    if len(outputs) != 1:
        return None
    (array,) = outputs.values()
    if not array.ndim or array.dtype.char not in _PLAIN or not array.flags.c_contiguous:
        return None
    text = orjson.dumps({key: array}, option=_OPTIONS)
    # Of null, which numbers that are not finite have become, one letter is enough: nothing else behind the key has it.
    return text if non_finite == "null" or text.find(b"n", len(key) + 4) < 0 else None


def _bare_if_one(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


def _check_batch(outputs: Tensors) -> None:
    sizes = [len(array) for array in outputs.values() if array.ndim]
    for name, array in outputs.items():
        if not array.ndim:
            raise InvalidArgument(f"Tensor name: {name} has no shape information ")
        if len(array) != sizes[0]:
            raise InvalidArgument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {sizes[0]}")


def _rows(outputs: Tensors, non_finite: NonFinite) -> Any:
    """One row for each example: the values of the only output, or objects of all."""
    if len(outputs) == 1:
        return _bare_if_one({name: _compatible(name, array, non_finite) for name, array in outputs.items()})
    columns = [_split(name, array, non_finite) for name, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _split(name: str, array: Array, non_finite: NonFinite) -> Iterable[Any]:
    """What orjson writes for each slice along dimension 0."""
    whole = _compatible(name, array, non_finite)
    return [_with_tokens(part) for part in _native(array)] if isinstance(whole, orjson.Fragment) else whole


def _compatible(name: str, array: Array, non_finite: NonFinite) -> Any:
    """What orjson writes for ``array`` in the compatible dialect."""
    dtype = _DTYPES[array.dtype]
    if dtype in _NO_COMPATIBLE_FORM:
        if array.size:
            raise InvalidArgument(f"Failed to write JSON value for tensor type: {dtype}")
        return np.zeros(array.shape).tolist()
    if dtype == dtypes.STRING:
        return _strings(name, array)
    return floats(name, _native(array), non_finite) if array.dtype.kind == "f" else _native(array)


def _legal(name: str, array: Array) -> Any:
    """What orjson writes for ``array`` in JSON that every parser reads."""
    dtype = _DTYPES[array.dtype]
    if dtype in (dtypes.COMPLEX64, dtypes.COMPLEX128):
        raise Unimplemented(f"the output {name} is {dtype}, which has no JSON form")
    if dtype == dtypes.STRING:
        return _strings(name, array)
    return _native(array.astype(np.float32) if dtype in (dtypes.HALF, dtypes.BFLOAT16) else array)


def _native(array: Array) -> Any:
    """``array`` as orjson takes it: contiguous, and a scalar where it has no dimensions."""
    return np.asarray(array, order="C") if array.ndim else array[()]


def floats(name: str, numbers: Any, non_finite: NonFinite) -> Any:
    """What orjson writes for the floats (an array or a scalar) of the output ``name``, some of which may not be finite.

    ``tokens``: the bare NaN, Infinity and -Infinity, as upstream, which is no legal JSON. ``null``: that. ``error``: raises
    OutOfRange.
    """
    finite = np.isfinite(numbers)
    if non_finite == "null" or finite.all():
        return numbers
    if non_finite == "error":
        count = np.size(finite) - np.count_nonzero(finite)
        error = OutOfRange(f"{count} of the {np.size(finite)} numbers in {name} are not finite, which JSON cannot tell")
        raise error.decided_by("GATEWAY_NON_FINITE", non_finite)
    return _with_tokens(numbers)


def _with_tokens(numbers: Any) -> orjson.Fragment:
    """Floats with the bare tokens of what is not finite, which orjson writes as null."""
    flat = np.ravel(numbers)
    tokens = [_token(number) for number in flat[~np.isfinite(flat)]]
    first, *others = orjson.dumps(numbers, option=_OPTIONS).split(b"null")
    return orjson.Fragment(b"".join([first, *chain.from_iterable(zip(tokens, others, strict=True))]))


def _token(number: Any) -> bytes:
    if np.isnan(number):
        return b"NaN"
    return b"Infinity" if number > 0 else b"-Infinity"


def _strings(name: str, array: Array) -> Any:
    """Nested lists of text and b64 objects; a bare one where ``array`` has no dimensions."""
    texts = np.empty(array.size, dtype=object)
    texts[:] = [_text(name, data) for data in array.flat]
    return texts.reshape(array.shape).tolist()


def _text(name: str, data: bytes) -> str | dict[str, str]:
    if name.endswith(_BYTES_SUFFIX):
        return b64.encode(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return b64.encode(data)
