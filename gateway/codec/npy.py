"""NumPy's npy format, versions 1.0 and 2.0 (``numpy.lib.format``), read without trust: nothing is evaluated or unpickled, and
no header decides how much memory is taken.

An array must have the dtype that is expected; only its byte order and its order in memory may differ. NumPy has no strings of
variable length: ``S`` holds bytes and ``U`` text, which is UTF-8 here, and neither can end in NUL. bfloat16 is ``V2``, as NumPy
writes it.
"""

import io
import math
import re
from typing import Any, Final

import numpy as np

from gateway.codec.elements import Array
from gateway.codec.nested_lists import MAX_RANK
from gateway.codec.problems import cut_text
from gateway.codec.raw_tensor import Unreadable
from gateway.errors import Unimplemented
from gateway.inference import dtypes
from gateway.inference.dtypes import DType

_MAGIC: Final = b"\x93NUMPY"
_LENGTH_BYTES: Final = {b"\x01\x00": 2, b"\x02\x00": 4}  # of the header's length, by version
_MAX_HEADER: Final = 4096
_MAX_ELEMENTS: Final = 2**59
_PIECE: Final = 65_536  # strings that are made at a time
_MAX_PADDED: Final = 2**28  # bytes of a string array, each element as long as the longest

_SIZES: Final = r"\((?: *\d{1,19} *(?:, *\d{1,19} *)*,?)? *\)"
_ITEM: Final = rf"'(?:descr': *'([^']*)'|fortran_order': *(True|False)|shape': *({_SIZES}))"
# Three items, in any order: each of the three groups has matched only if there is one of each.
_HEADER: Final = re.compile(rf"\{{(?: *{_ITEM} *(?:,|(?= *\}}))){{3}} *\}}[ \n]*", re.ASCII)
_SIMPLE: Final = re.compile(r"[<>|=]?[?biufcSUV]\d{0,9}", re.ASCII)
_SIZE: Final = re.compile(r"\d+", re.ASCII)


def decode_npy(data: bytes, dtype: DType) -> Array:
    """The array of ``dtype`` that ``data`` holds, wherever possible as a read-only view of it. Raises Unreadable."""
    header, content = _split(data)
    descr, is_fortran, shape = _parsed(header)
    sent = _dtype(descr, dtype)
    count = math.prod(shape)
    if len(content) != count * sent.itemsize:
        expected = f"{count * sent.itemsize} bytes for {descr} {list(shape)} after the header"
        raise Unreadable(expected, f"{len(content)} bytes")
    flat = np.frombuffer(content, sent) if count else np.empty(0, sent)
    return _elements(flat, dtype).reshape(shape, order="F" if is_fortran else "C")


def encode_npy(name: str, array: Array) -> bytes:
    """The npy file of ``array``, the output ``name``. Raises Unimplemented for strings that the format cannot hold."""
    file = io.BytesIO()
    plain = _padded(name, array) if array.dtype == object else np.asarray(array, order="C")
    np.lib.format.write_array(file, plain, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _split(data: bytes) -> tuple[str, memoryview]:
    """The header and the elements."""
    start = len(_MAGIC) + 2
    width = _LENGTH_BYTES.get(data[len(_MAGIC) : start])
    if not data.startswith(_MAGIC) or width is None:
        raise Unreadable("an npy file of version 1.0 or 2.0", f"{len(data)} bytes that do not begin as one")
    length = int.from_bytes(data[start : start + width], "little")
    end = start + width + length
    if length > _MAX_HEADER or end > len(data):
        raise Unreadable(f"an npy header of at most {min(_MAX_HEADER, len(data))} bytes", f"one of {length} bytes")
    return data[start + width : end].decode("latin-1"), memoryview(data)[end:]


def _parsed(header: str) -> tuple[str, bool, tuple[int, ...]]:
    """The descr of ``header``, whether the order is Fortran's, and the shape."""
    items = _HEADER.fullmatch(header)
    if items is None or None in items.groups():
        raise Unreadable("an npy header with a plain descr, fortran_order and shape", cut_text(repr(header.strip()), 200))
    descr, order, sizes = items.groups()
    shape = tuple(map(int, _SIZE.findall(sizes)))
    if len(shape) > MAX_RANK or math.prod(size or 1 for size in shape) > _MAX_ELEMENTS:
        raise Unreadable(f"at most {MAX_RANK} sizes whose product is at most {_MAX_ELEMENTS}", f"shape {cut_text(sizes, 100)}")
    return descr, order == "True", shape


def _dtype(descr: str, dtype: DType) -> "np.dtype[Any]":
    """The numpy dtype of ``descr``, which must stand for ``dtype``."""
    try:
        sent = np.dtype(descr) if _SIMPLE.fullmatch(descr) else None
    except (TypeError, ValueError, OverflowError):
        sent = None
    if sent is None or not _stands_for(sent, dtype) or (sent.kind == "V" and descr.startswith(">")):
        wanted = "S or U" if dtype == dtypes.STRING else np.dtype(dtype.numpy).str
        raise Unreadable(f"npy dtype {wanted} for {dtype}", cut_text(descr, 40))
    return sent


def _stands_for(sent: "np.dtype[Any]", dtype: DType) -> bool:
    if dtype == dtypes.STRING:
        return sent.kind in "SU" and sent.itemsize > 0
    # The void that NumPy writes for bfloat16 has lost its byte order when it is read.
    return sent == np.dtype("V2") if dtype == dtypes.BFLOAT16 else sent.newbyteorder("=") == dtype.numpy


def _elements(flat: Array, dtype: DType) -> Array:
    if dtype == dtypes.STRING:
        return _strings(flat)
    if dtype == dtypes.BFLOAT16:
        return flat.view(np.dtype(dtype.numpy))
    if dtype == dtypes.BOOL and flat.size and flat.view(np.uint8).max() > 1:
        raise Unreadable("bytes of 0 or 1 for bool", f"{flat.view(np.uint8).max()}")
    return flat.astype(np.dtype(dtype.numpy), copy=False)


def _strings(flat: Array) -> Array:
    if flat.dtype.kind == "U":
        points = flat.view(flat.dtype.str[0] + "u4")
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise Unreadable("Unicode text", "a code point that is none")
    array = np.empty(flat.size, dtype=object)
    # numpy makes objects without a pause, during which no other thread runs: of millions it would take seconds.
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE].tolist()
        array[start : start + _PIECE] = [item.encode() if isinstance(item, str) else item for item in piece]
    return array


def _padded(name: str, array: Array) -> Array:
    items: list[bytes] = array.ravel().tolist()
    longest = max(map(len, items), default=1) or 1
    if longest * len(items) > _MAX_PADDED or any(item.endswith(b"\0") for item in items):
        raise Unimplemented(f"the output {name} holds strings that npy cannot: they end in NUL, or differ too much in length")
    return np.array(items, dtype=f"S{longest}").reshape(array.shape)
