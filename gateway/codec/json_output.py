"""Output tensors -> values that orjson writes.

Numbers are as short as their dtype allows and read back to the same value in it: a float32 is never widened to a double's
digits. Integers are plain, floats keep a ``.0`` or an exponent. Whatever the tensors hold, strings are valid UTF-8.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson

from gateway.codec import b64
from gateway.codec.b64 import b64_object
from gateway.codec.elements import Array
from gateway.errors import OutOfRange

NonFinite: TypeAlias = Literal["tokens", "null", "error"]
"""How numbers that are not finite are written: see ``float_output``."""

OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY

_BYTES_SUFFIX: Final = "_bytes"
_TOKENS: Final = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


def bare_if_one(values: dict[str, Any]) -> Any:
    """The only one of ``values``, or all of them by name."""
    return next(iter(values.values())) if len(values) == 1 else values


def native_array(array: Array) -> Any:
    """``array`` as orjson takes it: contiguous, and a scalar if it has no dimensions."""
    return np.asarray(array, order="C") if array.ndim else array[()]


def float_output(name: str, numbers: Any, non_finite: NonFinite) -> Any:
    """A value that orjson writes as the floats (an array or a scalar) of the output ``name``, some of which may not be finite.

    ``tokens``: the bare NaN, Infinity and -Infinity, as upstream, which are no legal JSON. ``null``: null. ``error``: raises
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


def split_output(array: Array, whole: Any) -> Iterable[Any]:
    """A value that orjson writes for each slice of ``array`` along dimension 0; ``whole`` is the one for all of it."""
    return [_with_tokens(part) for part in native_array(array)] if isinstance(whole, orjson.Fragment) else whole


def string_output(name: str, array: Array) -> Any:
    """Nested lists of strings and b64 objects, or a bare one if ``array`` has no dimensions.

    An element is a b64 object if it is not UTF-8, or if the output's ``name`` ends in ``_bytes``.
    """
    write = b64_object if name.endswith(_BYTES_SUFFIX) else b64.string_or_b64
    items = np.empty(array.size, dtype=object)
    items[:] = [write(data) for data in array.flat]
    return items.reshape(array.shape).tolist()


def _with_tokens(numbers: Any) -> orjson.Fragment:
    """Floats with the bare tokens of what is not finite, which orjson writes as null."""
    flat = np.ravel(numbers)
    tokens = [_TOKENS[str(number)] for number in flat[~np.isfinite(flat)].tolist()]
    first, *others = orjson.dumps(numbers, option=OPTIONS).split(b"null")
    return orjson.Fragment(b"".join([first, *chain.from_iterable(zip(tokens, others, strict=True))]))
