"""The operational part of the OpenAPI document, and the documentation itself."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.api.docs import path_items
from gateway.api.docs.json_schema import TEXT, Json, array, record
from gateway.api.docs.responses import JSON, answer, not_ready, refusals

TAG: Final = "Operations"
ABOUT: Final = "For those who run it."

_MODEL: Final = record({"name": TEXT, "ready": {"type": "boolean"}, "available": array(TEXT), "problems": array(TEXT)})
_READY: Final = record({"ready": {"type": "boolean"}, "reasons": array(TEXT), "models": array(_MODEL)})
_VERSIONS: Final = array(record({"version": TEXT, "state": TEXT}))
_LISTED: Final = record({"name": TEXT, "ready": {"type": "boolean"}, "versions": _VERSIONS, "problems": array(TEXT)})
_HOME: Final = record({"name": TEXT, "models": array(_LISTED), "example": TEXT, "links": {"type": "object"}})
_SNIPPET: Final = record({"title": TEXT, "language": {"enum": ["bash", "python"]}, "code": TEXT})
_WHY: Final = {"description": "Why some of its signatures cannot be called"}
_SNIPPETS: Final = record({"model": TEXT, "version": TEXT, "snippets": array(_SNIPPET), "problems": array(TEXT) | _WHY})


def paths(example: str) -> Iterator[tuple[str, Json]]:
    """The routes; ``example`` is a model's name."""
    yield "/", _get("home", "What is here: the models, and how to call one", {"200": answer("It", _HOME, (JSON, "text/html"))})
    yield "/health", _get("health", "Whether the process lives", _ok({"ok": {"const": True}, "status": {"const": "up"}}))
    yield "/healthz", _get("healthz", "Whether the process lives", _ok({"status": {"const": "alive"}}))
    yield "/readyz", _get("readyz", "Whether every model answers", {"200": answer("Ready", _READY), "503": not_ready(_READY)})
    yield "/metrics", _get("metrics", "Prometheus metrics", _other("Metrics", "text/plain"))
    yield "/openapi.json", _get("openapi", "This document", {"200": answer("OpenAPI 3.1", {"type": "object"})})
    yield "/docs", _get("docs", "This document as a page", _other("The page", "text/html"))
    snippets = {"200": answer("Requests that can be run as they are", _SNIPPETS, (JSON, "text/plain"))}
    page = _get("snippets", "Snippets for a model: text, or JSON where that is accepted", snippets, asks_backend=True)
    yield "/docs/models/{model}", {"parameters": [path_items.path_parameter("model", example)]} | page


def _get(identifier: str, summary: str, responses: Json, *, asks_backend: bool = False) -> Json:
    every = responses | refusals("simple", asks_backend=asks_backend)
    return {"get": path_items.get(identifier, TAG, summary, every)}


def _ok(properties: dict[str, Any]) -> Json:
    return {"200": answer("Yes", record(properties))}


def _other(description: str, media_type: str) -> Json:
    return {"200": answer(description, {}, (media_type,))}
