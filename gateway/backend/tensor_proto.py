"""numpy <-> TensorProto, by one table of dtypes.

Tensors are sent as ``tensor_content`` (strings: ``string_val``) and read in both encodings: TensorFlow Serving answers in the
typed fields (``float_val`` ...) unless it runs with ``--enable_serialization_as_tensor_content``. All of it runs on the event
loop: protobuf and numpy hold the interpreter's lock for each of these calls, so a thread would not let the loop run meanwhile.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.backend.stubs import DataType, TensorProto
from gateway.backend.wire import packed_field
from gateway.errors import Internal
from gateway.inference import dtypes
from gateway.inference.dtypes import DType

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """How one dtype is sent: its enum number, the typed field, and what numpy reads that field's members as."""

    enum: int
    dtype: DType
    field: str
    wire: npt.DTypeLike


_TABLE: Final = (
    _Row(DataType.DT_FLOAT, dtypes.FLOAT, "float_val", np.float32),
    _Row(DataType.DT_DOUBLE, dtypes.DOUBLE, "double_val", np.float64),
    # half_val holds the 16 bits of each value as an integer, for both 16-bit floats.
    _Row(DataType.DT_HALF, dtypes.HALF, "half_val", np.uint16),
    _Row(DataType.DT_BFLOAT16, dtypes.BFLOAT16, "half_val", np.uint16),
    # Narrow integers share int_val and wrap, as TensorFlow's own decoder does.
    _Row(DataType.DT_INT8, dtypes.INT8, "int_val", np.int32),
    _Row(DataType.DT_INT16, dtypes.INT16, "int_val", np.int32),
    _Row(DataType.DT_INT32, dtypes.INT32, "int_val", np.int32),
    _Row(DataType.DT_UINT8, dtypes.UINT8, "int_val", np.int32),
    _Row(DataType.DT_UINT16, dtypes.UINT16, "int_val", np.int32),
    _Row(DataType.DT_INT64, dtypes.INT64, "int64_val", np.int64),
    _Row(DataType.DT_UINT32, dtypes.UINT32, "uint32_val", np.uint32),
    _Row(DataType.DT_UINT64, dtypes.UINT64, "uint64_val", np.uint64),
    _Row(DataType.DT_BOOL, dtypes.BOOL, "bool_val", np.bool_),
    _Row(DataType.DT_STRING, dtypes.STRING, "string_val", object),
    # Complex values are pairs of real numbers.
    _Row(DataType.DT_COMPLEX64, dtypes.COMPLEX64, "scomplex_val", np.float32),
    _Row(DataType.DT_COMPLEX128, dtypes.COMPLEX128, "dcomplex_val", np.float64),
)
_BY_ENUM: Final = {row.enum: row for row in _TABLE}
_BY_NUMPY: Final = {row.dtype.numpy: row for row in _TABLE}
# The members of these fields are on the wire as numpy has them in memory.
_FIXED_WIDTH: Final = ("float_val", "double_val", "scomplex_val", "dcomplex_val")
_WORTH_A_BUFFER: Final = 32  # values
_BIT_CASTS: Final = (dtypes.HALF, dtypes.BFLOAT16, dtypes.COMPLEX64, dtypes.COMPLEX128)


def encode_tensor(array: Array, proto: TensorProto | None = None) -> TensorProto:
    """``proto``, which is empty (None: a new TensorProto), with the dtype, the shape and the values of ``array``.

    Raises Internal if the array's dtype is none of ``inference.dtypes``.
    """
    row = _BY_NUMPY.get(array.dtype)
    if row is None:
        raise Internal(f"no TensorProto for numpy dtype {array.dtype}")
    proto = TensorProto() if proto is None else proto
    proto.dtype = row.enum
    dim = proto.tensor_shape.dim
    for size in array.shape:
        dim.add(size=size)
    if row.dtype is dtypes.STRING:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()
    return proto


def decode_tensor(proto: TensorProto) -> Array:
    """The array that a TensorProto stands for, in either encoding.

    Follows ``tensorflow::Tensor::FromProto``: too few typed values repeat the last one, none at all mean zeros (empty strings),
    surplus ones are ignored. Raises Internal if the dtype has no array form, or the content does not fill the shape.
    """
    row = _BY_ENUM.get(proto.dtype)
    if row is None:
        raise Internal(f"the backend answered with a tensor of type {dtype_name(proto.dtype)}, which has no array form here")
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    content = proto.tensor_content
    if not content:
        return _filled(_typed_values(proto, row), math.prod(shape)).reshape(shape)
    try:
        return np.frombuffer(content, dtype=row.dtype.numpy).reshape(shape)
    except ValueError as error:
        raise Internal(f"the backend answered with {len(content)} bytes for {row.dtype} {list(shape)}") from error


def dtype_of_enum(enum: int) -> DType:
    """The dtype of a ``DataType`` number; one without an array form has its name and no numpy dtype."""
    row = _BY_ENUM.get(enum)
    return row.dtype if row is not None else DType(dtype_name(enum), None)


def dtype_name(enum: int) -> str:
    """The name that ``tensorflow::DataTypeString`` prints for a ``DataType`` number: ``half``, ``float_ref``."""
    try:
        name: str = DataType.Name(enum)
    except ValueError:
        return f"unknown dtype enum ({enum})"
    return name.removeprefix("DT_").lower()


def _typed_values(proto: TensorProto, row: _Row) -> Array:
    """The members of the typed field, as many as there are."""
    values = getattr(proto, row.field)
    if row.dtype is dtypes.STRING:
        strings = np.empty(len(values), dtype=object)
        strings[:] = list(values)
        return strings
    flat = _wire_values(proto, row, values)
    if row.dtype in _BIT_CASTS:
        flat = flat.view(row.dtype.numpy)  # type: ignore[arg-type]  # every dtype of the table has one
    return flat.astype(row.dtype.numpy, copy=False)


def _wire_values(proto: TensorProto, row: _Row, values: Any) -> Array:
    if row.field not in _FIXED_WIDTH or len(values) < _WORTH_A_BUFFER:
        flat = np.fromiter(values, dtype=row.wire, count=len(values))
        # On its way through a Python float a signalling NaN of 32 bits becomes a quiet one.
        if row.wire is not np.float32 or not np.isnan(flat).any():
            return flat
    number = TensorProto.DESCRIPTOR.fields_by_name[row.field].number
    return np.frombuffer(packed_field(proto.SerializeToString(), number), dtype=row.wire)


def _filled(flat: Array, size: int) -> Array:
    if len(flat) == size:
        return flat
    if len(flat) > size:
        return flat[:size]
    filled = np.empty(size, dtype=flat.dtype)
    filled[: len(flat)] = flat
    empty = b"" if flat.dtype == object else 0
    filled[len(flat) :] = flat[-1] if len(flat) else empty
    return filled
