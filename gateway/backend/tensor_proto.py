"""numpy <-> TensorProto, and SignatureDef -> Signature, from one dtype table.

Tensors are sent as ``tensor_content`` (strings: ``string_val``) and read in both encodings: TensorFlow Serving answers in the
typed fields (``float_val`` ...) unless it runs with ``--enable_serialization_as_tensor_content``. All of it runs on the event
loop: protobuf and numpy hold the interpreter's lock for each of these calls, so a thread would not let the loop run meanwhile.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.backend import wire
from gateway.backend.stubs import DataType, SignatureDef, TensorInfo, TensorProto
from gateway.errors import Internal
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import Signature, TensorSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """How one dtype is sent: its enum number, the typed field, and what numpy reads that field's members as."""

    enum: int
    dtype: DType
    field: str
    wire: npt.DTypeLike


_TABLE = (
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
_BY_ENUM = {row.enum: row for row in _TABLE}
_BY_NUMPY = {row.dtype.numpy: row for row in _TABLE}
# The members of these fields are on the wire as numpy has them in memory.
_FIXED_WIDTH = ("float_val", "double_val", "scomplex_val", "dcomplex_val")
_WORTH_A_BUFFER = 32  # values
_COMPOSITES = {"RAGGED_TENSOR_SPEC": "ragged", "SPARSE_TENSOR_SPEC": "sparse"}
_BIT_CASTS = (dtypes.HALF, dtypes.BFLOAT16, dtypes.COMPLEX64, dtypes.COMPLEX128)


def encode(array: Array) -> TensorProto:
    """A TensorProto of the array's dtype, shape and values.

    Raises:
        Internal: the array's dtype is none of ``inference.dtypes``.
    """
    proto = TensorProto()
    encode_into(array, proto)
    return proto


def encode_into(array: Array, proto: TensorProto) -> None:
    """Fill an empty TensorProto, such as a new entry of a request's map of inputs, as ``encode`` does."""
    row = _BY_NUMPY.get(array.dtype)
    if row is None:
        raise Internal(f"no TensorProto for numpy dtype {array.dtype}")
    proto.dtype = row.enum
    dim = proto.tensor_shape.dim
    for size in array.shape:
        dim.add(size=size)
    if row.dtype is dtypes.STRING:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def decode(proto: TensorProto) -> Array:
    """The array that a TensorProto stands for, in either encoding.

    Follows ``tensorflow::Tensor::FromProto``: too few typed values repeat the last one, none at all mean zeros (empty strings),
    surplus ones are ignored.

    Raises:
        Internal: the dtype has no array form, or the content does not fill the shape.
    """
    row = _BY_ENUM.get(proto.dtype)
    if row is None:
        raise Internal(f"the backend answered with a tensor of type {dtype_name(proto.dtype)}, which has no array form here")
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    content = proto.tensor_content
    if content:
        return _from_content(content, row.dtype, shape)
    return _from_values(proto, row, shape)


def _from_content(content: bytes, dtype: DType, shape: tuple[int, ...]) -> Array:
    try:
        return np.frombuffer(content, dtype=dtype.numpy).reshape(shape)
    except ValueError as error:
        raise Internal(f"the backend answered with {len(content)} bytes for {dtype} {list(shape)}") from error


def _from_values(proto: TensorProto, row: _Row, shape: tuple[int, ...]) -> Array:
    size = math.prod(shape)
    values = getattr(proto, row.field)
    if row.dtype is dtypes.STRING:
        return _strings(list(values), size).reshape(shape)
    flat = _flat(proto, row, values)
    if row.dtype in _BIT_CASTS:
        flat = flat.view(row.dtype.numpy)  # type: ignore[arg-type]  # every dtype of the table has one
    return _fill(flat.astype(row.dtype.numpy, copy=False), size).reshape(shape)


def _flat(proto: TensorProto, row: _Row, values: Any) -> Array:
    """The members of a typed field."""
    if row.field not in _FIXED_WIDTH or len(values) < _WORTH_A_BUFFER:
        flat = np.fromiter(values, dtype=row.wire, count=len(values))
        # On its way through a Python float a signalling NaN of 32 bits becomes a quiet one.
        if row.wire is not np.float32 or not np.isnan(flat).any():
            return flat
    number = TensorProto.DESCRIPTOR.fields_by_name[row.field].number
    return np.frombuffer(wire.packed(proto.SerializeToString(), number), dtype=row.wire)


def _fill(flat: Array, size: int) -> Array:
    if len(flat) == size:
        return flat
    if len(flat) > size:
        return flat[:size]
    filled = np.zeros(size, dtype=flat.dtype)
    filled[: len(flat)] = flat
    if len(flat):
        filled[len(flat) :] = flat[-1]
    return filled


def _strings(values: list[bytes], size: int) -> Array:
    missing = size - len(values)
    if missing > 0:
        values = values + [values[-1] if values else b""] * missing
    array = np.empty(size, dtype=object)
    array[:] = values[:size]
    return array


def dtype_name(enum: int) -> str:
    """The name that ``tensorflow::DataTypeString`` prints for the enum number (``half``, ``int64``, ``float_ref`` ...)."""
    row = _BY_ENUM.get(enum)
    if row is not None:
        return row.dtype.name
    try:
        name: str = DataType.Name(enum)
    except ValueError:
        return f"unknown dtype enum ({enum})"
    return name.removeprefix("DT_").lower()


def signature_from_proto(name: str, proto: SignatureDef) -> Signature:
    """The Signature that a SignatureDef declares.

    A dtype without an array form keeps its name and has no numpy dtype. A TensorInfo that is not one dense tensor (``encoding``
    in tensorflow/core/protobuf/meta_graph.proto) is a composite.
    """
    defaults = getattr(proto, "defaults", {})
    return Signature(name, proto.method_name, _specs(proto.inputs, defaults), _specs(proto.outputs, {}))


def _specs(tensors: Mapping[str, TensorInfo], defaults: Mapping[str, TensorProto]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(alias, tensors[alias], alias in defaults) for alias in sorted(tensors))


def _spec(alias: str, info: TensorInfo, has_default: bool) -> TensorSpec:
    row = _BY_ENUM.get(info.dtype)
    dtype = row.dtype if row is not None else DType(dtype_name(info.dtype), None)
    return TensorSpec(alias, dtype, _shape(info), has_default, _composite(info))


def _composite(info: TensorInfo) -> str:
    encoding = info.WhichOneof("encoding")
    if encoding == "composite_tensor":
        type_spec = info.composite_tensor.type_spec
        return _COMPOSITES.get(type_spec.TypeSpecClass.Name(type_spec.type_spec_class), "composite")
    return "sparse" if encoding == "coo_sparse" else ""


def _shape(info: TensorInfo) -> tuple[int | None, ...] | None:
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
