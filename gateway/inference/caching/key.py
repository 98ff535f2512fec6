"""Tensors as a key: equal exactly when their names, dtypes, shapes and bytes are.

So 0.0 and -0.0 differ, and so do two NaNs of different bits: the model may tell them apart. Tensors of more than
``EXACT_BYTES`` are held by a digest of 256 bits (BLAKE2b): no two tensors with the same digest can be found.
"""

import asyncio
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.inference.signature import Tensors

EXACT_BYTES = 1024
_DIGEST_BYTES = 32

LARGE_BYTES: Final = 65_536
"""To read more bytes of tensors would hold up the event loop."""

Content: TypeAlias = bytes | tuple[bytes, ...]
TensorsKey: TypeAlias = tuple[tuple[str, "np.dtype[Any]", tuple[int, ...], Content], ...]


def tensors_key(inputs: Tensors) -> TensorsKey:
    """The key of ``inputs``, whatever their order and memory layout; it shares no memory with them."""
    return tuple((name, inputs[name].dtype, inputs[name].shape, _content(inputs[name])) for name in sorted(inputs))


async def tensors_key_beside(inputs: Tensors) -> TensorsKey:
    """As ``tensors_key``; that of large ``inputs`` is made in a thread. They must not change meanwhile."""
    if sum(map(_size, inputs.values())) > LARGE_BYTES:
        return await asyncio.to_thread(tensors_key, inputs)
    return tensors_key(inputs)


def key_bytes(key: TensorsKey) -> int:
    """Bytes of the contents that a key holds."""
    return sum(len(content) if isinstance(content, bytes) else sum(map(len, content)) for *_, content in key)


def _size(array: "npt.NDArray[Any]") -> int:
    is_counted = array.dtype.hasobject and array.nbytes <= LARGE_BYTES
    return array.nbytes + (sum(map(len, array.ravel().tolist())) if is_counted else 0)


def _content(array: "npt.NDArray[Any]") -> Content:
    if array.dtype.hasobject:
        return _strings(array.ravel().tolist())
    if array.nbytes <= EXACT_BYTES:
        return array.tobytes()
    # As plain bytes, because not every dtype (bfloat16) offers its buffer.
    return _digest(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _strings(members: list[bytes]) -> Content:
    sizes = [len(member) for member in members]
    if sum(sizes) + len(sizes) <= EXACT_BYTES:
        return tuple(members)
    # With the sizes, because joined ("a", "bc") and ("ab", "c") are one.
    return _digest(np.array(sizes, np.int64).tobytes() + b"".join(members))


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
