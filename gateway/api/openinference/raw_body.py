"""A raw binary request: a body that is nothing but the data of the only input (Triton's binary tensor data extension).

What the JSON would say is taken from the signature; the one size that may be free follows from the length of the body.
"""

import math
from typing import Any

import numpy as np

from gateway.api.openinference import datatypes
from gateway.api.openinference.tensor import declared
from gateway.codec import raw_tensor
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from gateway.inference.signature import Signature, TensorSpec


def input_of(signature: Signature, data: memoryview) -> tuple[dict[str, Any], memoryview]:
    """The only input as JSON would describe it, and its data as the extension has it; a string is the whole body.

    Raises InvalidArgument where the signature leaves open what the input is.
    """
    needed = [spec for spec in signature.inputs if not spec.has_default]
    if len(needed) != 1 or needed[0].shape is None or needed[0].shape.count(None) > 1:
        inputs = "; ".join(f"{spec.name}, {declared(spec)}" for spec in needed[:20]) or "none"
        raise InvalidArgument(f"a body without JSON is for one input with one free size at most; the inputs are: {inputs}")
    (spec,) = needed
    if spec.dtype == dtypes.STRING:
        data = memoryview(raw_tensor.encode(_one_string(data)))
    described = {"name": spec.name, "datatype": datatypes.name_of(spec.dtype), "shape": _shape(spec, len(data))}
    return described | {"parameters": {"binary_data_size": len(data)}}, data


def _one_string(data: memoryview) -> Any:
    array = np.empty(1, dtype=object)
    array[0] = bytes(data)
    return array


def _shape(spec: TensorSpec, data_bytes: int) -> list[int]:
    """The declared sizes, a free one as large as ``data_bytes`` make it, rounded up."""
    sizes = spec.shape or ()
    unit = math.prod(size for size in sizes if size is not None) * np.dtype(spec.dtype.numpy).itemsize
    free = 1 if spec.dtype == dtypes.STRING else -(-data_bytes // max(unit, 1))
    return [free if size is None else size for size in sizes]
