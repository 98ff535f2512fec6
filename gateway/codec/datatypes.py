"""The datatypes of the Open Inference Protocol, by the dtypes that they stand for. A complex tensor has none."""

from typing import Final

from gateway.inference import dtypes
from gateway.inference.dtypes import DType

BY_NAME: Final = {
    "BOOL": dtypes.BOOL,
    "UINT8": dtypes.UINT8,
    "UINT16": dtypes.UINT16,
    "UINT32": dtypes.UINT32,
    "UINT64": dtypes.UINT64,
    "INT8": dtypes.INT8,
    "INT16": dtypes.INT16,
    "INT32": dtypes.INT32,
    "INT64": dtypes.INT64,
    "FP16": dtypes.HALF,
    "FP32": dtypes.FLOAT,
    "FP64": dtypes.DOUBLE,
    "BYTES": dtypes.STRING,
    "BF16": dtypes.BFLOAT16,
}
_BY_DTYPE: Final = {dtype.name: name for name, dtype in BY_NAME.items()}  # a name is looked up faster than a dtype
NUMPY_DATATYPES: Final = {dtype.numpy: name for name, dtype in BY_NAME.items()}


def has_datatype(dtype: DType) -> bool:
    """Whether the protocol has a datatype for ``dtype``."""
    return dtype.name in _BY_DTYPE


def datatype_of(dtype: DType) -> str:
    """The protocol's name of ``dtype``, or TensorFlow's name in capitals if the protocol has none."""
    return _BY_DTYPE.get(dtype.name) or dtype.name.upper()
