"""TensorProto <-> numpy as TensorFlow's own C++ does it (tensorflow/core/framework/tensor.cc), from one table of dtypes.

``tf.make_ndarray`` is not equivalent: it refuses surplus values. Replies use the typed fields, or ``tensor_content``
where the server is told to.
"""

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

from model_server.wire import join_strings, packed, packed_tag, split_strings

Array = NDArray[Any]

_TWO_BITS = (np.dtype(ml_dtypes.int2), np.dtype(ml_dtypes.uint2))
_MAX_EXPANDED_BYTES = 2**31  # what the largest message could carry
_MAX_DIMENSIONS = 64  # numpy's limit; TensorFlow's own is 254


@dataclass(frozen=True)
class Layout:
    """How one dtype travels: the TensorProto field, and the numpy dtype of a tensor.

    ``wire`` is the dtype of the numbers in that field: half floats travel as their bits, complex numbers as pairs.
    ``tag`` is set where the packed field is a copy of the array's memory.
    """

    field: str
    dtype: np.dtype[Any]
    wire: np.dtype[Any]
    tag: int | None = None


def _layout(field: str, dtype: Any, wire: Any = None, tag: int | None = None) -> Layout:
    return Layout(field, np.dtype(dtype), np.dtype(dtype if wire is None else wire), tag)


def _quantized(name: str, dtype: str) -> np.dtype[Any]:
    return np.dtype([(name, dtype)])


LAYOUTS: dict[int, Layout] = {
    types_pb2.DT_FLOAT: _layout("float_val", np.float32, tag=packed_tag(5)),
    types_pb2.DT_DOUBLE: _layout("double_val", np.float64, tag=packed_tag(6)),
    types_pb2.DT_COMPLEX64: _layout("scomplex_val", np.complex64, np.float32, packed_tag(9)),
    types_pb2.DT_COMPLEX128: _layout("dcomplex_val", np.complex128, np.float64, packed_tag(12)),
    types_pb2.DT_BOOL: _layout("bool_val", np.bool_, tag=packed_tag(11)),
    types_pb2.DT_INT64: _layout("int64_val", np.int64),
    types_pb2.DT_UINT32: _layout("uint32_val", np.uint32),
    types_pb2.DT_UINT64: _layout("uint64_val", np.uint64),
    types_pb2.DT_INT32: _layout("int_val", np.int32),
    types_pb2.DT_INT16: _layout("int_val", np.int16),
    types_pb2.DT_INT8: _layout("int_val", np.int8),
    types_pb2.DT_UINT16: _layout("int_val", np.uint16),
    types_pb2.DT_UINT8: _layout("int_val", np.uint8),
    types_pb2.DT_INT2: _layout("int_val", ml_dtypes.int2),
    types_pb2.DT_UINT2: _layout("int_val", ml_dtypes.uint2),
    types_pb2.DT_INT4: _layout("int_val", ml_dtypes.int4),
    types_pb2.DT_UINT4: _layout("int_val", ml_dtypes.uint4),
    types_pb2.DT_QINT8: _layout("int_val", _quantized("qint8", "i1"), np.int8),
    types_pb2.DT_QUINT8: _layout("int_val", _quantized("quint8", "u1"), np.uint8),
    types_pb2.DT_QINT16: _layout("int_val", _quantized("qint16", "<i2"), np.int16),
    types_pb2.DT_QUINT16: _layout("int_val", _quantized("quint16", "<u2"), np.uint16),
    types_pb2.DT_QINT32: _layout("int_val", _quantized("qint32", "<i4"), np.int32),
    types_pb2.DT_HALF: _layout("half_val", np.float16, np.uint16),
    types_pb2.DT_BFLOAT16: _layout("half_val", ml_dtypes.bfloat16, np.uint16),
    types_pb2.DT_FLOAT8_E5M2: _layout("float8_val", ml_dtypes.float8_e5m2, np.uint8),
    types_pb2.DT_FLOAT8_E4M3FN: _layout("float8_val", ml_dtypes.float8_e4m3fn, np.uint8),
    types_pb2.DT_FLOAT8_E4M3FNUZ: _layout("float8_val", ml_dtypes.float8_e4m3fnuz, np.uint8),
    types_pb2.DT_FLOAT8_E5M2FNUZ: _layout("float8_val", ml_dtypes.float8_e5m2fnuz, np.uint8),
    types_pb2.DT_FLOAT8_E4M3B11FNUZ: _layout("float8_val", ml_dtypes.float8_e4m3b11fnuz, np.uint8),
    types_pb2.DT_STRING: _layout("string_val", np.object_),
}


def dtype_name(number: int) -> str:
    """``DT_FLOAT`` for 1, and so on."""
    return str(types_pb2.DataType.Name(number))


def decode(proto: Any) -> Array:
    """The array that a TensorProto stands for; ValueError if it stands for none.

    Too few values repeat the last one (up to 2 GiB, so that a few bytes cannot ask for all memory), no values are
    zeros or empty strings, surplus values are ignored, narrow integers wrap around. Arrays made from
    ``tensor_content`` share its memory and are read-only.
    """
    layout = LAYOUTS.get(proto.dtype)
    if layout is None:
        raise ValueError(f"no tensor of dtype {proto.dtype}")
    shape = _shape(proto.tensor_shape)
    count = math.prod(shape)
    if proto.tensor_content and count:
        return _from_content(proto.tensor_content, layout, count).reshape(shape)
    return _from_values(getattr(proto, layout.field), layout, count).reshape(shape)


def encode(array: Array, dtype: int, proto: Any) -> None:
    """Fill an empty TensorProto with typed fields. ``array`` must have the dtype that TensorFlow returns for ``dtype``."""
    layout = LAYOUTS[dtype]
    _describe(array, dtype, proto)
    if layout.tag is not None:
        proto.MergeFromString(packed(layout.tag, array.tobytes()))
    elif layout.field == "string_val":
        proto.string_val.extend(array.ravel().tolist())
    elif layout.field == "float8_val":
        proto.float8_val = array.tobytes()
    elif layout.field == "half_val":
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, layout.field).extend(array.ravel().tolist())


def encode_content(array: Array, dtype: int, proto: Any) -> None:
    """Fill an empty TensorProto with ``tensor_content``; strings as their lengths followed by their bytes."""
    _describe(array, dtype, proto)
    if dtype == types_pb2.DT_STRING:
        proto.tensor_content = join_strings(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def _describe(array: Array, dtype: int, proto: Any) -> None:
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)


def _shape(proto: Any) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.dim)
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape) or math.prod(shape) >= 2**62:
        raise ValueError(f"no tensor of shape {shape}")
    return shape


def _from_content(content: bytes, layout: Layout, count: int) -> Array:
    if layout.field == "string_val":
        return split_strings(content, count)
    if len(content) != count * layout.dtype.itemsize:
        raise ValueError(f"{len(content)} bytes for {count} elements of {layout.dtype}")
    if layout.field == "bool_val" and not set(content) <= {0, 1}:
        raise ValueError("a boolean is 0 or 1")
    return np.frombuffer(content, layout.dtype)


def _from_values(values: Any, layout: Layout, count: int) -> Array:
    if layout.field == "string_val":
        return _repeated(np.array([*values], np.object_), count, b"")
    numbers = np.frombuffer(values, layout.wire) if isinstance(values, bytes) else _numbers(values, layout.wire)
    per_element = layout.dtype.itemsize // layout.wire.itemsize
    numbers = numbers[: numbers.size // per_element * per_element]
    elements = numbers if layout.dtype == layout.wire else numbers.view(layout.dtype)
    return _repeated(elements, count, 0)


def _numbers(values: Any, wire: np.dtype[Any]) -> Array:
    """Read a repeated field; its int32 values wrap around into narrower integers as a C cast does."""
    if wire.itemsize >= 4 or wire.kind == "b":
        return np.fromiter(values, wire, len(values))
    wide = np.fromiter(values, np.int32, len(values))
    if wire.kind != "V":
        return wide.astype(wire)
    bits = 2 if wire in _TWO_BITS else 4  # ml_dtypes' conversion saturates instead
    return (wide & (1 << bits) - 1).astype(np.uint8).view(wire)


def _repeated(elements: Array, count: int, filler: Any) -> Array:
    if elements.size >= count:
        return elements[:count]
    if count * elements.itemsize > _MAX_EXPANDED_BYTES:
        raise ValueError(f"{count} elements of {elements.dtype} from {elements.size} values")
    filled = np.empty(count, elements.dtype)
    filled[: elements.size] = elements
    filled[elements.size :] = elements[-1] if elements.size else np.array(filler).astype(elements.dtype)
    return filled
