"""TensorSpec -> JSON Schema (2020-12): how a tensor looks in JSON, in a request and in an answer.

Says what ``elements`` takes and ``json_output`` writes. What JSON Schema cannot say is left to a description: 1.0 is no
integer, and the lists of a free dimension are equally long.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

from gateway.codec import b64
from gateway.codec.elements import element
from gateway.inference import dtypes
from gateway.inference.dtypes import DType
from gateway.inference.signature import TensorSpec

Json: TypeAlias = dict[str, Any]
Dims: TypeAlias = tuple[int | None, ...]

_TEXT: Final = {"type": "string"}
_FORMATS: Final = {dtypes.FLOAT: {"format": "float"}, dtypes.DOUBLE: {"format": "double"}}
_FLOATS: Final = (dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16)
_COMPLEX: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)
_BASE64: Final = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
_SCHEMAS: Final = "#/components/schemas/"


def element_schema(dtype: DType) -> Json:
    """One element of a request's tensor, with the range of ``dtype``."""
    if dtype == dtypes.STRING:
        return {"anyOf": [_TEXT, object_schema({b64.KEY: _TEXT | {"contentEncoding": "base64", "pattern": _BASE64}})]}
    if dtype == dtypes.BOOL:
        return {"type": "boolean"}
    kind = element(dtype, strict=True)
    if dtype not in _FLOATS:
        return {"type": "integer", "format": dtype.name, "minimum": kind.low, "maximum": kind.high}
    bounds = {}
    if kind.limit is not None and math.isfinite(kind.limit):  # that of a double is infinity, which JSON does not have
        bounds = {"exclusiveMinimum": -kind.limit, "exclusiveMaximum": kind.limit}
    return {"type": "number"} | _FORMATS.get(dtype, {}) | bounds


def answered_element_schema(dtype: DType) -> Json:
    """One element of an answer's tensor: a number that is not finite may be null."""
    return {"type": ["number", "null"]} | _FORMATS.get(dtype, {}) if dtype in _FLOATS else element_schema(dtype)


def nested_schema(dims: Iterable[int | None], innermost: Json) -> Json:
    """Lists nested as ``dims`` say (None: of any length) around ``innermost``."""
    schema = innermost
    for size in reversed(tuple(dims)):
        schema = array_schema(schema) | ({} if size is None else {"minItems": size, "maxItems": size})
    return schema


def object_schema(members: Mapping[str, Json], optional: Collection[str] = ()) -> Json:
    """An object with these members and no others."""
    required = [name for name in members if name not in optional]
    schema = {"type": "object", "properties": dict(members), "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def only_or_object_schema(members: Mapping[str, Json]) -> Json:
    """The bare value of one member, or an object of several."""
    return next(iter(members.values())) if len(members) == 1 else object_schema(members)


def array_schema(items: Json) -> Json:
    """A list."""
    return {"type": "array", "items": items}


def tensor_schema(spec: TensorSpec, dims: Dims | None) -> Json:
    """A request's tensor of ``spec`` whose lists nest as ``dims`` say; None: to any depth."""
    inner = _any_rank(spec.dtype, "sent") if dims is None else element_schema(spec.dtype)
    return nested_schema(dims or (), inner) | {"description": str(spec)}


def answered_tensor_schema(spec: TensorSpec, dims: Dims | None) -> Json:
    """An answer's tensor: as ``dims`` say, or of another rank if the request or the model did not keep to the declaration."""
    other = _any_rank(spec.dtype, "answered")
    if dims is not None:
        other = {"anyOf": [nested_schema(dims, answered_element_schema(spec.dtype)), other]}
    return other | {"description": str(spec)}


def any_rank_schemas() -> dict[str, Json]:
    """The components that the other schemas refer to, by name: an element of each dtype, or lists of them at any depth."""
    schemas = {}
    for dtype in (dtype for dtype in dtypes.DTYPES if dtype not in _COMPLEX):
        for side, innermost in (("sent", element_schema(dtype)), ("answered", answered_element_schema(dtype))):
            schemas[f"{dtype}.{side}"] = {"anyOf": [innermost, array_schema(_any_rank(dtype, side))]}
    return schemas


def _any_rank(dtype: DType, side: str) -> Json:
    return {"$ref": f"{_SCHEMAS}{dtype}.{side}"}
