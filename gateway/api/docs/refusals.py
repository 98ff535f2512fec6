"""The refusals of every route for the OpenAPI document: each status of the error tree in each dialect."""

import re
from http import HTTPStatus
from typing import Final

from gateway import errors
from gateway.api.docs.json_schema import Json
from gateway.api.errors import JSON
from gateway.errors import GatewayError, Unauthenticated, Unavailable

_DIALECTS: Final = {"/v1": "tfserving", "/v2": "openinference"}  # by the beginning of a path; all others are "simple"
_ASKS_BACKEND: Final = re.compile(r"/(predict|(v1|v2|docs)/models/)")
_OF_BODY: Final = (408, 413)
_OF_GATEWAY: Final = (405, 500, *_OF_BODY)  # what a route that asks nobody can still answer
_ATTRIBUTES: Final = re.compile(r"[:;]|, which")


def error_statuses() -> dict[int, list[type[GatewayError]]]:
    """The classes of the error tree by HTTP status, ascending."""
    found: dict[int, list[type[GatewayError]]] = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, GatewayError) and error is not GatewayError:
            found.setdefault(error.http_status, []).append(error)
    return dict(sorted(found.items()))


def dialect_of(path: str) -> str:
    """The dialect of ``path``, as the names of the components have it."""
    return _DIALECTS.get(path[:3], "simple")


def refusal_responses() -> dict[str, Json]:
    """The components that the responses of the routes refer to."""
    dialects = (*_DIALECTS.values(), "simple")
    return {
        f"{one}.{status}": _refusal(one, status, classes) for one in dialects for status, classes in error_statuses().items()
    }


def complete_responses(path: str, operation: Json) -> None:
    """Add the refusals of ``path`` to ``operation``, and the header that every answer has to the answers that are there."""
    dialect = dialect_of(path)
    statuses = [status for status in error_statuses() if status in _OF_GATEWAY or _ASKS_BACKEND.match(path)]
    if "requestBody" not in operation:
        statuses = [status for status in statuses if status not in _OF_BODY]
    if dialect == "tfserving":
        statuses.remove(405)  # a wrong method is a 400 there
    for answer in operation["responses"].values():
        if "$ref" not in answer:
            answer["headers"] = _header_reference("X-Request-Id") | answer.get("headers", {})
    refused = {str(status): {"$ref": f"#/components/responses/{dialect}.{status}"} for status in statuses}
    operation["responses"] = refused | operation["responses"]


def _refusal(dialect: str, status: int, classes: list[type[GatewayError]]) -> Json:
    title = "Client Closed Request" if status == 499 else HTTPStatus(status).phrase
    more = _header_reference("Retry-After") if Unavailable in classes else {}
    if Unauthenticated in classes:
        more = _header_reference("WWW-Authenticate")
    return {
        "description": f"{title}: {' '.join(map(_when_raised, classes))}",
        "headers": _header_reference("X-Request-Id") | more,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{dialect}.error"}}},
    }


def _when_raised(error: type[GatewayError]) -> str:
    """What the class's docstring says before it turns to its attributes."""
    clause = _ATTRIBUTES.split((error.__doc__ or "").split("\n")[0].removeprefix("Raised "))[0].rstrip(".")
    return f"{clause[:1].upper()}{clause[1:]}."


def _header_reference(name: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"}}
