"""Tensors as the prediction log keeps them: a msgpack map of name -> [dtype, shape, content], in the order of the names.

``dtype`` is TensorFlow's name. ``content`` holds the elements in C order: little-endian bytes, or a list of the elements of a
string tensor. In place of the elements of a large tensor there may be a map with its ``Summary``.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.inference.dtypes import BY_NAME, DTYPES, STRING
from gateway.inference.signature import Tensors

Array: TypeAlias = npt.NDArray[Any]

SMALL_ELEMENTS: Final = 64
SMALL_BYTES: Final = 4096
_DIGEST_BYTES: Final = 16
_BLOCK: Final = 65_536  # elements
_STRING_BYTES: Final = 56  # what a string takes in memory besides its bytes

# Looked up by numpy's one-letter code, which costs less than anything else of a dtype. int64 has two of them.
_NAMES: Final = {dtype.numpy.char: dtype.name for dtype in DTYPES if dtype.numpy} | {"q": "int64", "Q": "uint64"}


class Summary(msgspec.Struct, frozen=True):
    """What is kept of a large tensor: the mean, standard deviation and bounds of its elements that are numbers, and the others.

    A complex element counts as its absolute value, a string as its length in bytes. All but ``nan`` are None if no element is a
    number.
    """

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    nan: int


class Summarised(msgspec.Struct, frozen=True):
    """A large tensor of which only a summary was kept."""

    dtype: str
    shape: tuple[int, ...]
    summary: Summary


_Content: TypeAlias = bytes | list[bytes] | Summary
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, tuple[str, tuple[int, ...], _Content]]).decode


def memory_bytes(tensors: Tensors) -> int:
    """What the elements take in memory."""
    strings = sum(array.size for array in tensors.values() if array.dtype.hasobject)
    return sum(map(_content_bytes, tensors.values())) + strings * _STRING_BYTES


def encode_small(tensors: Tensors) -> bytes | None:
    """The msgpack form with every tensor whole; None if one has more than ``SMALL_ELEMENTS`` elements or ``SMALL_BYTES`` bytes.

    Each request that is kept comes through here, twice.
    """
    parts = {}
    for name in tensors if len(tensors) < 2 else sorted(tensors):
        array = tensors[name]
        if array.size > SMALL_ELEMENTS:
            return None
        dtype = array.dtype
        content = array.tobytes() if dtype.isbuiltin and not dtype.hasobject else _content(array)
        if type(content) is list and sum(map(len, content)) > SMALL_BYTES:
            return None
        parts[name] = (_NAMES[dtype.char], array.shape, content)
    return _encode(parts)


def encode(tensors: Tensors, whole: bool) -> bytes:
    """The msgpack form, with every tensor ``whole`` or with summaries of those that are not small."""
    return _encode(
        {
            name: (_NAMES[array.dtype.char], array.shape, _content(array) if whole or _is_small(array) else summary(array))
            for name, array in sorted(tensors.items())
        }
    )


def digest(tensors: Tensors) -> bytes:
    """BLAKE2b of 128 bits over the msgpack form with every tensor whole.

    It is equal for equal tensors, whatever their order, their memory layout and the dialect that brought them.
    """
    whole = blake2b(_map_head(len(tensors)), digest_size=_DIGEST_BYTES)
    for name, array in sorted(tensors.items()):
        whole.update(_encode(name))
        whole.update(_encode((_NAMES[array.dtype.char], array.shape, _content(array))))
    return whole.digest()


def digest_of_form(whole: bytes) -> bytes:
    """The digest of tensors of which the msgpack form, with every tensor whole, is there already."""
    return blake2b(whole, digest_size=_DIGEST_BYTES).digest()


def owned(tensors: Tensors) -> dict[str, Array]:
    """The tensors without memory that belongs to something larger, such as the outputs of a shared call."""
    return {name: array if array.flags.owndata else array.copy() for name, array in tensors.items()}


def decode(data: bytes) -> Mapping[str, Array | Summarised]:
    """The tensors of the msgpack form. Raises ValueError for other bytes."""
    return {name: _tensor(*parts) for name, parts in _decode(data).items()}


def summarised(array: Array) -> Summarised:
    """``array`` as a large tensor of which only a summary is kept."""
    return Summarised(_NAMES[array.dtype.char], array.shape, summary(array))


@np.errstate(invalid="ignore", over="ignore")  # of infinities
def summary(array: Array) -> Summary:
    """The summary of any tensor. It needs memory for one block of elements only."""
    count, total, nan = 0, 0.0, 0
    least, most = np.inf, -np.inf
    for block in _numbers(array):
        numbers = block[~np.isnan(block)]
        nan += block.size - numbers.size
        if numbers.size:
            count += numbers.size
            total += float(numbers.sum())
            least, most = min(least, float(numbers.min())), max(most, float(numbers.max()))
    if not count:
        return Summary(None, None, None, None, nan)
    mean = total / count
    squares = sum(float(np.nansum((block - mean) ** 2)) for block in _numbers(array))
    return Summary(mean, (squares / count) ** 0.5, least, most, nan)


def _map_head(count: int) -> bytes:
    """How the msgpack of a map with ``count`` members begins."""
    return bytes([0x80 | count]) if count < 16 else b"\xde" + count.to_bytes(2)


def _numbers(array: Array) -> Iterator["npt.NDArray[np.float64]"]:
    """The elements as numbers, a block at a time."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        if block.dtype.hasobject:
            yield np.array([len(text) for text in block], np.float64)
        else:
            yield (np.abs(block) if block.dtype.kind == "c" else block).astype(np.float64)


def _content_bytes(array: Array) -> int:
    return sum(map(len, array.ravel().tolist())) if array.dtype.hasobject else array.nbytes


def _is_small(array: Array) -> bool:
    return array.size <= SMALL_ELEMENTS and _content_bytes(array) <= SMALL_BYTES


def _content(array: Array) -> bytes | list[bytes]:
    if array.dtype.hasobject:
        return array.ravel().tolist()
    return (array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))).tobytes()


def _tensor(name: str, shape: tuple[int, ...], content: _Content) -> Array | Summarised:
    if isinstance(content, Summary):
        return Summarised(name, shape, content)
    if isinstance(content, list):
        strings = np.empty(len(content), STRING.numpy)
        strings[:] = content
        return strings.reshape(shape)
    return np.frombuffer(content, BY_NAME[name].numpy).reshape(shape)
