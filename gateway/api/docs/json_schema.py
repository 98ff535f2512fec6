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

TEXT: Final = {"type": "string"}

_FORMATS: Final = {dtypes.FLOAT: "float", dtypes.DOUBLE: "double"}
_FLOATS: Final = (dtypes.FLOAT, dtypes.DOUBLE, dtypes.HALF, dtypes.BFLOAT16)
_COMPLEX: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)
_BASE64: Final = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
_SCHEMAS: Final = "#/components/schemas/"


def of_element(dtype: DType) -> Json:
    """One element of a request's tensor, with the range of ``dtype``."""
    if dtype == dtypes.STRING:
        return {"anyOf": [TEXT, record({b64.KEY: TEXT | {"contentEncoding": "base64", "pattern": _BASE64}})]}
    if dtype == dtypes.BOOL:
        return {"type": "boolean"}
    kind = element(dtype, strict=True)
    if dtype in _FLOATS:
        return {"type": "number"} | _format(dtype) | _bounds(kind.limit)
    return {"type": "integer", "format": dtype.name, "minimum": kind.low, "maximum": kind.high}


def of_answered_element(dtype: DType) -> Json:
    """One element of an answer's tensor: a number that is not finite may be null."""
    if dtype in _FLOATS:
        return {"type": ["number", "null"]} | _format(dtype)
    return of_element(dtype)


def nested(dims: Iterable[int | None], innermost: Json) -> Json:
    """Lists nested as ``dims`` say (None: of any length) around ``innermost``."""
    schema = innermost
    for size in reversed(tuple(dims)):
        length = {} if size is None else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema} | length
    return schema


def record(members: Mapping[str, Json], optional: Collection[str] = (), *, is_open: bool = False) -> Json:
    """An object with these members. If it ``is_open``, it may have any others too."""
    required = [name for name in members if name not in optional]
    schema = {"type": "object", "properties": dict(members)} | ({"required": required} if required else {})
    return schema if is_open else schema | {"additionalProperties": False}


def array(items: Json) -> Json:
    """A list."""
    return {"type": "array", "items": items}


def of_tensor(spec: TensorSpec, dims: Dims | None) -> Json:
    """A request's tensor of ``spec`` whose lists nest as ``dims`` say; None: to any depth."""
    inner = {"$ref": _SCHEMAS + _any_rank_name(spec.dtype, answered=False)} if dims is None else of_element(spec.dtype)
    return nested(dims or (), inner) | {"description": str(spec)}


def of_answered_tensor(spec: TensorSpec, dims: Dims | None) -> Json:
    """An answer's tensor: as ``dims`` say, or of another rank if the request or the model did not keep to the declaration."""
    other = {"$ref": _SCHEMAS + _any_rank_name(spec.dtype, answered=True)}
    if dims is None:
        return other | {"description": str(spec)}
    return {"anyOf": [nested(dims, of_answered_element(spec.dtype)), other], "description": str(spec)}


def any_rank_schemas() -> dict[str, Json]:
    """The components that the other schemas refer to, by name: an element of each dtype, or lists of them at any depth."""
    schemas = {}
    for dtype in (dtype for dtype in dtypes.DTYPES if dtype not in _COMPLEX):
        for answered, innermost in ((False, of_element(dtype)), (True, of_answered_element(dtype))):
            name = _any_rank_name(dtype, answered)
            schemas[name] = {"anyOf": [innermost, {"type": "array", "items": {"$ref": _SCHEMAS + name}}]}
    return schemas


def _format(dtype: DType) -> Json:
    return {"format": _FORMATS[dtype]} if dtype in _FORMATS else {}


def _bounds(limit: float | None) -> Json:
    """A float's range; the limit of a double is infinity, which JSON does not have."""
    return {} if limit is None or math.isinf(limit) else {"exclusiveMinimum": -limit, "exclusiveMaximum": limit}


def _any_rank_name(dtype: DType, answered: bool) -> str:
    return f"{dtype}.{'answered' if answered else 'sent'}"
