"""The answers of every route for the OpenAPI document: their headers, and each refusal of the error tree in each dialect."""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.errors import GatewayError, Unavailable

Dialect: TypeAlias = Literal["tfserving", "openinference", "simple"]

JSON: Final = "application/json"
_ATTRIBUTES: Final = re.compile(r"[:;]|, which")
_STATUS_TITLES: Final = {499: "Client Closed Request"}
_WITHOUT_BODY: Final = (405,)  # of another method
_OF_BODY: Final = (408, 413)
_OF_GATEWAY: Final = (405, 500)  # what a route that asks nobody can still answer

_POINTER: Final = TEXT | {"description": "RFC 6901 pointer into the request's body"}
_PROBLEM: Final = record({"pointer": _POINTER, "expected": TEXT, "got": TEXT})
_SIMPLE_ERROR: Final = record(
    {
        "ok": {"const": False},
        "status": {"const": "error"},
        "error": TEXT | {"description": "A code, such as BAD_INPUT"},
        "message": TEXT,
        "details": array(_PROBLEM),
        "omitted": {"type": "integer", "minimum": 1, "description": "Problems that are not in details"},
    },
    optional=("omitted",),
)
_ERRORS: Final[dict[Dialect, Json]] = {
    "tfserving": record({"error": TEXT}) | {"description": "TensorFlow Serving's error body"},
    "openinference": record({"error": TEXT}) | {"description": "The Open Inference Protocol's error body"},
    "simple": _SIMPLE_ERROR,
}
HEADERS: Final[dict[str, Json]] = {
    "X-Request-Id": {
        "description": "The id that the request brought in a header of this name, or a new one; the gateway's log has it too",
        "required": True,
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "X-Model-Version": {
        "description": "The version of the model that answered",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "X-Cache": {
        "description": "Of a model whose answers are kept (GATEWAY_CACHE): whether this one was, or was called for, or was "
        "called for by another request that asked the same",
        "schema": {"enum": ["hit", "miss", "shared"]},
    },
    "Retry-After": {
        "description": "When to try again, in seconds",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}


def statuses() -> dict[int, list[type[GatewayError]]]:
    """The classes of the error tree by HTTP status, ascending."""
    found: dict[int, list[type[GatewayError]]] = {}
    for error in _leaves(GatewayError):
        if error.__module__ == GatewayError.__module__:
            found.setdefault(error.http_status, []).append(error)
    return dict(sorted(found.items()))


def error_schemas() -> dict[str, Json]:
    """The components that the refusals refer to: the error body of each dialect."""
    return {f"{dialect}.error": schema for dialect, schema in _ERRORS.items()}


def refusal_responses() -> dict[str, Json]:
    """The components that ``refusals`` refers to."""
    return {
        f"{dialect}.{status}": _refusal(dialect, status, classes)
        for dialect in _ERRORS
        for status, classes in statuses().items()
    }


def answer(description: str, schema: Json, media_types: Iterable[str] = (JSON,), *, has_version: bool = False) -> Json:
    """A response with a body: what a route answers if all is well, or else what ``not_ready`` says."""
    return {
        "description": description,
        "headers": headers("X-Request-Id", *(["X-Model-Version"] if has_version else [])),
        "content": {media_type: {"schema": schema} if media_type == JSON else {"schema": {}} for media_type in media_types},
    }


def not_ready(schema: Json) -> Json:
    """The 503 response of a route that tells of readiness."""
    return answer("Not ready, and why", schema)


def headers(*names: str) -> Json:
    """References to headers by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def refusals(dialect: Dialect, *, asks_backend: bool, has_body: bool = False, also: int = 500) -> Json:
    """References to the refusals of a route of ``dialect``, by status; the status ``also`` is one of them."""
    wanted = [status for status in statuses() if asks_backend or status in (*_OF_GATEWAY, *_OF_BODY, also)]
    wanted = [status for status in wanted if has_body or status not in _OF_BODY]
    if dialect == "tfserving":
        # Its answer to a wrong method is 400.
        wanted = [status for status in wanted if status not in _WITHOUT_BODY]
    return {str(status): {"$ref": f"#/components/responses/{dialect}.{status}"} for status in wanted}


def _refusal(dialect: Dialect, status: int, classes: list[type[GatewayError]]) -> Json:
    names = ["X-Request-Id", *(["Retry-After"] if Unavailable in classes else [])]
    return {
        "description": f"{_title(status)}: {' '.join(map(_when, classes))}",
        "headers": headers(*names),
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{dialect}.error"}}},
    }


def _title(status: int) -> str:
    return _STATUS_TITLES.get(status) or HTTPStatus(status).phrase


def _when(error: type[GatewayError]) -> str:
    """What the class's docstring says before it turns to its attributes."""
    clause = _ATTRIBUTES.split((error.__doc__ or "").split("\n")[0].removeprefix("Raised "))[0].rstrip(".")
    return f"{clause[:1].upper()}{clause[1:]}."


def _leaves(error: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for child in error.__subclasses__():
        yield child
        yield from _leaves(child)
