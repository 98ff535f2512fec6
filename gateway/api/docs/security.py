"""What the OpenAPI document says about keys, where requests need one."""

from typing import Final

from gateway.api.docs import refusals
from gateway.api.docs.json_schema import Json

_ABOUT: Final = (
    " A request needs a key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; without one the answer is 401. A prediction "
    "that the key may not ask for is a 403. A model that it may not use is in no list, and its metadata is a 404. This "
    "document holds the models of the key that asked for it."
)
_SCHEMES: Final[Json] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of this gateway, which begins with sgk_"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
}
_OPEN: Final = frozenset(
    (
        "/",
        "/docs",
        "/console/",
        "/health",
        "/healthz",
        "/readyz",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model}/ready",
    )
)
_METRICS: Final = "/metrics"
_REFUSALS: Final = (401, 403)


def declare(document: Json, *, metrics_are_open: bool) -> None:
    """Let the operations of ``document`` need a key, but for those that do not."""
    document["info"]["description"] += _ABOUT
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{name: []} for name in _SCHEMES]
    for path, item in document["paths"].items():
        for operation in item.values():
            if path in _OPEN or (path == _METRICS and metrics_are_open):
                operation["security"] = []
            else:
                _add_refusals(path, operation)


def _add_refusals(path: str, operation: Json) -> None:
    dialect = refusals.dialect_of(path)
    refused = {str(status): {"$ref": f"#/components/responses/{dialect}.{status}"} for status in _REFUSALS}
    operation["responses"] = refused | operation["responses"]
