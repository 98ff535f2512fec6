"""What the operations of every dialect are made of: their names, parameters, bodies and examples."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from gateway.api import arrays
from gateway.api.docs.json_schema import Json
from gateway.api.docs.responses import JSON, Dialect, answer, headers, refusals
from gateway.api.samples import values
from gateway.inference.signature import Signature

Operation: TypeAlias = tuple[str, str, str, Json]
"""The end of a path, the operation's name, its method and what it does."""

MEDIA_TYPES: Final = (JSON, arrays.NPY, arrays.NPZ)

_GUESS: Final = "A guess: the signature does not say what a string must hold."
_SEGMENT: Final = {"type": "string", "pattern": "^[^/]+$"}


def under(
    base: str, operations: Iterable[Operation], identifier: str, tag: str, *parameters: Json
) -> Iterator[tuple[str, Json]]:
    """The paths that begin with ``base``, each with its operation; ``parameters`` are those of ``base``.

    ``identifier`` tells these operations from those of the same names under other bases.
    """
    shared: Json = {"parameters": list(parameters)} if parameters else {}
    for end, name, method, operation in operations:
        yield base + end, shared | {method: operation | {"operationId": f"{name}_{identifier}", "tags": [tag]}}


def get(identifier: str, tag: str, summary: str, responses: Json) -> Json:
    """An operation with an identifier of its own, which takes no body unless one is added."""
    return {"operationId": identifier, "tags": [tag], "summary": summary, "responses": responses}


def post(
    dialect: Dialect,
    summary: str,
    body: Json,
    about: str,
    answered: Json,
    *,
    examples: Json | None = None,
    media_types: Iterable[str] = MEDIA_TYPES,
    is_kept: bool = True,
) -> Json:
    """A prediction: ``body`` and ``answered`` are its JSON; ``is_kept``: its answers may come from the cache."""
    content: Json = {media_type: {"schema": {}} for media_type in media_types}
    content[JSON] = {"schema": body} | ({"examples": examples} if examples else {})
    ok = answer(about, answered, content, has_version=True)
    if is_kept:
        ok["headers"] |= headers("X-Cache")
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": ok} | refusals(dialect, asks_backend=True, has_body=True),
    }


def example(signature: Signature, title: str, value: Any) -> Json:
    """An example of a body for ``signature``, which says so where it is a guess."""
    note = {"description": _GUESS} if values.is_guess(signature) else {}
    return {"summary": title, "value": value} | note


def path_parameter(name: str, example: Any, schema: Json = _SEGMENT) -> Json:
    """A parameter of a path; without ``schema`` it is one segment."""
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}
