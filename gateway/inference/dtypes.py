"""The dtypes of tensors: one row for each, under TensorFlow's own name.

A string tensor is a numpy array of ``object`` whose members are ``bytes``; every other dtype has its numpy equal
(``bfloat16`` from ml_dtypes).
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """One dtype. ``name`` is what ``tensorflow::DataTypeString`` prints; ``numpy`` is None for what has no array form here."""

    name: str
    numpy: "np.dtype[Any] | None"

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        # Each request looks things up by its signature, and numpy's own hash of a dtype takes long.
        return hash(self.name)


FLOAT = DType("float", np.dtype(np.float32))
DOUBLE = DType("double", np.dtype(np.float64))
HALF = DType("half", np.dtype(np.float16))
BFLOAT16 = DType("bfloat16", np.dtype(ml_dtypes.bfloat16))
INT8 = DType("int8", np.dtype(np.int8))
INT16 = DType("int16", np.dtype(np.int16))
INT32 = DType("int32", np.dtype(np.int32))
INT64 = DType("int64", np.dtype(np.int64))
UINT8 = DType("uint8", np.dtype(np.uint8))
UINT16 = DType("uint16", np.dtype(np.uint16))
UINT32 = DType("uint32", np.dtype(np.uint32))
UINT64 = DType("uint64", np.dtype(np.uint64))
BOOL = DType("bool", np.dtype(np.bool_))
STRING = DType("string", np.dtype(object))
COMPLEX64 = DType("complex64", np.dtype(np.complex64))
COMPLEX128 = DType("complex128", np.dtype(np.complex128))

INTEGERS = (INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64)
DTYPES = (FLOAT, DOUBLE, HALF, BFLOAT16, *INTEGERS, BOOL, STRING, COMPLEX64, COMPLEX128)
BY_NAME = {dtype.name: dtype for dtype in DTYPES}
