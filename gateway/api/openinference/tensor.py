"""One input of an inference request -> one tensor, held against its declaration. Nothing that does not fit gets through.

An input is given as the members that it has, each of the right form.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.api.openinference.form import BINARY_SIZE, Path
from gateway.codec import datatypes, raw_tensor
from gateway.codec.datatypes import datatype_of
from gateway.codec.elements import Array, element
from gateway.codec.large_json import NumberBlock
from gateway.codec.nested_lists import Dims, find_list_problems, lists_to_array
from gateway.codec.problems import MISSING, Problems, json_pointer
from gateway.codec.raw_tensor import decode_raw_tensor, encode_raw_tensor
from gateway.errors import InvalidArgument
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import Signature, TensorSpec


def binary_size(members: Mapping[str, Any]) -> int | None:
    """How many bytes of binary data an input has; None: its data is JSON."""
    parameters = members.get("parameters")
    return parameters.get(BINARY_SIZE) if parameters else None


def input_tensor(members: Mapping[str, Any], binary: memoryview | None, spec: TensorSpec) -> Array | None:
    """The tensor of an input, as ``spec`` declares it, or None if it does not fit.

    ``binary``: its bytes; None: its data is JSON.
    """
    shape, data = members.get("shape"), members.get("data")
    if members.get("datatype") != datatype_of(spec.dtype) or shape is None or not spec.fits(shape):
        return None
    if binary is None:
        array = None if data is None else lists_to_array(data, element(spec.dtype, strict=True), _dims(data, shape))
        return None if array is None else array.reshape(shape)
    try:
        return decode_raw_tensor(binary, spec.dtype, shape) if data is None else None
    except raw_tensor.Unreadable:
        return None


def explain_input(
    members: Mapping[str, Any], path: Path, binary: memoryview | None, spec: TensorSpec, problems: Problems
) -> None:
    """Add to ``problems`` every reason why the input at ``path`` does not fit ``spec``.

    The data is held against the shape and the datatype that are given with it, and those against the declaration, so that one
    mistake is told once. That a member is missing, or that the body ends before the tensor, is for the caller to tell.
    """
    datatype, shape, data = members.get("datatype"), members.get("shape"), members.get("data")
    if datatype is not None and datatype != datatype_of(spec.dtype):
        problems.add((*path, "datatype"), datatype_of(spec.dtype), datatype)
    if shape is not None and not spec.fits(shape):
        problems.note((*path, "shape"), infer_shape(spec), str(shape))
    dtype, place = datatypes.BY_NAME.get(datatype or "", spec.dtype), (*path, "data")
    if binary is not None:
        if data is not None:
            problems.add(place, "nothing, as binary_data_size says that the data is binary", data)
        if shape is not None and len(binary) == binary_size(members):
            _explain_binary(binary, (*path, "parameters", BINARY_SIZE), dtype, shape, problems)
    elif data is None:
        problems.add(place, "the tensor's elements, or binary_data_size among its parameters", MISSING)
    else:
        dims = None if shape is None else _dims(data, shape)
        problems.extend(find_list_problems(data, element(dtype, strict=True), dims), lambda inner: json_pointer(place) + inner)


def spec_text(spec: TensorSpec) -> str:
    """The datatype and shape of ``spec`` as the protocol writes them: ``FP32 [-1, 2]``."""
    return f"{datatype_of(spec.dtype)} {infer_shape(spec)}"


def infer_shape(spec: TensorSpec) -> str:
    """The shape of ``spec`` as an infer request has it: -1 stands for what is free."""
    return "of any shape" if spec.shape is None else str([-1 if size is None else size for size in spec.shape])


def raw_body_tensor(signature: Signature, data: memoryview) -> dict[str, Array]:
    """The only input, for a body that is nothing but its data, by name.

    Triton's binary tensor data extension: the one size that may be free follows from the length of the body, and a string is
    the whole body. Raises InvalidArgument for data that does not fit, and where the signature leaves open what the input is.
    """
    needed = [spec for spec in signature.inputs if not spec.has_default]
    if len(needed) != 1 or needed[0].shape is None or needed[0].shape.count(None) > 1:
        inputs = "; ".join(f"{spec.name}, {spec_text(spec)}" for spec in needed[:20]) or "none"
        raise InvalidArgument(f"a body without JSON is for one input with one free size at most; the inputs are: {inputs}")
    (spec,) = needed
    if spec.dtype == dtypes.STRING:
        string = np.empty(1, dtype=object)
        string[0] = bytes(data)
        data = memoryview(encode_raw_tensor(string))
    try:
        return {spec.name: decode_raw_tensor(data, spec.dtype, _sizes(spec, len(data)))}
    except raw_tensor.Unreadable as unreadable:
        problems = Problems()
        problems.note((), f"the data of {spec.name}, {spec_text(spec)}: {unreadable.expected}", unreadable.got)
        raise problems.invalid_argument("the body is not a tensor of the model:") from None


def _explain_binary(binary: memoryview, path: Path, dtype: DType, shape: list[int], problems: Problems) -> None:
    try:
        decode_raw_tensor(binary, dtype, shape)
    except raw_tensor.Unreadable as unreadable:
        problems.note(path, unreadable.expected, unreadable.got)


def _dims(data: Any, shape: list[int]) -> Dims:
    """How ``data`` must nest: flat or by ``shape``; where there are no dimensions, it may be one bare element too."""
    if isinstance(data, NumberBlock):
        is_flat = len(data.shape) == 1
    elif isinstance(data, list):
        is_flat = not (data and isinstance(data[0], list))
    else:
        is_flat = bool(shape)
    return (math.prod(shape),) if is_flat else tuple(shape)


def _sizes(spec: TensorSpec, data_bytes: int) -> list[int]:
    """The declared sizes, a free one as large as ``data_bytes`` make it, rounded up."""
    sizes = spec.shape or ()
    unit = math.prod(size for size in sizes if size is not None) * np.dtype(spec.dtype.numpy).itemsize
    free = 1 if spec.dtype == dtypes.STRING else -(-data_bytes // max(unit, 1))
    return [free if size is None else size for size in sizes]
