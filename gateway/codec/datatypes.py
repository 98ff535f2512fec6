"""The datatypes of the Open Inference Protocol, by the dtypes that they stand for. A complex tensor has none."""

from typing import Final

from gateway.inference import dtypes
from gateway.inference.dtypes import DType

_NAMES: Final = {
    dtypes.BOOL: "BOOL",
    dtypes.UINT8: "UINT8",
    dtypes.UINT16: "UINT16",
    dtypes.UINT32: "UINT32",
    dtypes.UINT64: "UINT64",
    dtypes.INT8: "INT8",
    dtypes.INT16: "INT16",
    dtypes.INT32: "INT32",
    dtypes.INT64: "INT64",
    dtypes.HALF: "FP16",
    dtypes.FLOAT: "FP32",
    dtypes.DOUBLE: "FP64",
    dtypes.STRING: "BYTES",
    dtypes.BFLOAT16: "BF16",
}
_BY_DTYPE: Final = {dtype.name: name for dtype, name in _NAMES.items()}  # names are faster to look for than dtypes
BY_NAME: Final = {name: dtype for dtype, name in _NAMES.items()}
NUMPY_NAMES: Final = {dtype.numpy: name for dtype, name in _NAMES.items()}
_BY_NUMPY: Final = {dtype.numpy: dtype for dtype in dtypes.DTYPES}


def is_supported(dtype: DType) -> bool:
    """Whether the protocol has a datatype for ``dtype``."""
    return dtype.name in _BY_DTYPE


def name_of(dtype: DType) -> str:
    """The protocol's name of ``dtype``, or TensorFlow's name in capitals if the protocol has none."""
    return _BY_DTYPE.get(dtype.name) or dtype.name.upper()


def of_numpy(dtype: object) -> DType:
    """The dtype of an array whose numpy dtype is ``dtype``."""
    return _BY_NUMPY[dtype]  # type: ignore[index]  # numpy's dtypes hash
