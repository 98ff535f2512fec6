"""One input of an inference request -> one tensor, held against its declaration. Nothing that does not fit gets through."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.api.openinference import datatypes
from gateway.api.openinference.form import Path
from gateway.codec import raw_tensor
from gateway.codec.elements import Array, element
from gateway.codec.nested_lists import find_problems, to_array
from gateway.codec.number_block import NumberBlock, Unfit
from gateway.codec.problems import MISSING, Problems, pointer
from gateway.inference.dtypes import DType
from gateway.inference.signature import TensorSpec


@dataclass(frozen=True, slots=True)
class Given:
    """An input as the client gives it: its well-formed members, where it stands, and its bytes (None: its data is JSON)."""

    members: Mapping[str, Any]
    path: Path
    binary: memoryview | None


def load(given: Given, spec: TensorSpec, problems: Problems) -> Array | None:
    """The tensor of ``given``, or None; ``problems`` gets every reason why it does not fit ``spec``.

    The data is held against the shape and the datatype that are given with it, and those against the declaration, so that one
    mistake is told once. That a member is missing, or that the body ends before the tensor, is for the caller to tell. Raises
    Unfit instead of telling what is wrong with a NumberBlock.
    """
    before = problems.count
    _check_declared(given, spec, problems)
    shape = given.members.get("shape")
    dtype = datatypes.BY_NAME.get(given.members.get("datatype", ""), spec.dtype)
    load_data = _from_json if given.binary is None else _from_binary
    array = load_data(given, dtype, shape, problems)
    return array if problems.count == before else None


def declared(spec: TensorSpec) -> str:
    """The datatype and shape of ``spec`` as the protocol writes them: ``FP32 [-1, 2]``."""
    return f"{datatypes.name_of(spec.dtype)} {shape_text(spec)}"


def shape_text(spec: TensorSpec) -> str:
    """The shape of ``spec`` with -1 for what is free."""
    return "of any shape" if spec.shape is None else str([-1 if size is None else size for size in spec.shape])


def _check_declared(given: Given, spec: TensorSpec, problems: Problems) -> None:
    datatype, expected = given.members.get("datatype"), datatypes.name_of(spec.dtype)
    if datatype is not None and datatype != expected:
        problems.add((*given.path, "datatype"), expected, datatype)
    shape = given.members.get("shape")
    if shape is not None and not spec.fits(shape):
        problems.note((*given.path, "shape"), shape_text(spec), str(list(shape)))


def _from_json(given: Given, dtype: DType, shape: tuple[int, ...] | None, problems: Problems) -> Array | None:
    """The tensor of nested or flat lists; where there are no dimensions, of one bare element too."""
    data, place = given.members.get("data"), (*given.path, "data")
    if data is None:
        problems.add(place, "the tensor's elements, or binary_data_size among its parameters", MISSING)
        return None
    dims = (math.prod(shape),) if shape is not None and _is_flat(data) else shape
    kind = element(dtype, strict=True)
    array = to_array(data, kind, dims)
    if array is None and isinstance(data, NumberBlock):
        raise Unfit
    if array is None:
        problems.extend(find_problems(data, kind, dims), lambda inner: pointer(place) + inner)
        return None
    return None if shape is None else array.reshape(shape)


def _is_flat(data: Any) -> bool:
    if isinstance(data, NumberBlock):
        return len(data.shape) == 1
    return isinstance(data, list) and not isinstance(next(iter(data), None), list)


def _from_binary(given: Given, dtype: DType, shape: tuple[int, ...] | None, problems: Problems) -> Array | None:
    data, binary = given.members.get("data"), given.binary
    if isinstance(data, NumberBlock):
        raise Unfit
    if data is not None:
        problems.add((*given.path, "data"), "nothing, as binary_data_size says that the data is binary", data)
    if shape is None or binary is None or len(binary) < given.members["parameters"]["binary_data_size"]:
        return None
    try:
        return raw_tensor.decode(binary, dtype, shape)
    except raw_tensor.Unreadable as unreadable:
        problems.note((*given.path, "parameters", "binary_data_size"), unreadable.expected, unreadable.got)
        return None
