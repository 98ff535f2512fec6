"""/openapi.json, /docs and /docs/models/<model>: documentation that follows the models.

Nothing of it comes from another host: the page's files are those of Swagger UI in the flask-swagger-ui package, and the
Content-Security-Policy allows no other source. Thread-safe.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from typing import Final, Protocol

import orjson
from flask import Blueprint, Response, request

from gateway.api import address, requests
from gateway.api.docs import document as openapi
from gateway.api.docs import snippets
from gateway.api.docs.document import Limits, Served
from gateway.deadline import Deadline
from gateway.errors import GatewayError, NotFound
from gateway.inference.signature import ModelRef, ServedModel, Signature
from gateway.inference.status import ModelStatus

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>serving-gateway</title>
<link rel="stylesheet" href="{here}swagger-ui.css">
<link rel="icon" type="image/png" href="{here}favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="{here}swagger-ui-bundle.js"></script>
<script src="{here}start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_ASSETS: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


class Catalog(Protocol):
    """What the documentation is made from."""

    def models(self) -> tuple[ModelStatus, ...]:
        """Every model that is known."""

    def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means now, with its signatures. Raises GatewayError."""


class LiveDocument:
    """The OpenAPI document as JSON, made anew when what it is made from has changed. Keeps one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._made: tuple[Served, bytes] | None = None

    def of(self, served: Served) -> bytes:
        """The document of ``served``."""
        made = self._made
        if made is None or made[0] != served:
            # Two threads may both make it; they make the same.
            made = (served, orjson.dumps(openapi.document(served, self._limits)))
            self._made = made
        return made[1]


def blueprint(
    catalog: Catalog,
    default_model: str,
    limits: Limits,
    why_not_joined: Callable[[ServedModel, Signature], str | None] = lambda served, signature: None,
) -> Blueprint:
    """The routes. ``default_model`` is the model of a bare /predict; empty: the only one, if there is one.

    ``why_not_joined`` says why requests for a signature of a version are never joined into batches; None: they may be.
    """
    routes = Blueprint("docs", __name__)
    live = LiveDocument(limits)

    @routes.get("/openapi.json", provide_automatic_options=False)
    def document() -> Response:
        served = _served(catalog, default_model, requests.deadline())
        return _page(live.of(replace(served, not_joined=_not_joined(served.models, why_not_joined))), _JSON)

    @routes.get("/docs", provide_automatic_options=False)
    def page() -> Response:
        # Addresses relative to the page's own work behind a proxy that takes a prefix off.
        return _page(_PAGE.format(here="" if request.path.endswith("/") else "docs/"), "text/html; charset=utf-8")

    @routes.get("/docs/start.js", provide_automatic_options=False)
    def start() -> Response:
        return _page(_START, "text/javascript; charset=utf-8")

    @routes.get("/docs/<asset>", provide_automatic_options=False)
    def file(asset: str) -> Response:
        return _asset(asset)

    @routes.get("/docs/models/<model>", provide_automatic_options=False)
    def model_snippets(model: str) -> Response:
        return _snippets(catalog.served(ModelRef(model), requests.deadline()))

    return routes


def _served(catalog: Catalog, default_model: str, deadline: Deadline) -> Served:
    statuses = catalog.models()
    models = tuple(model for status in statuses if status.is_ready for model in _known(catalog, status.name, deadline))
    only = statuses[0].name if len(statuses) == 1 else ""
    return Served(models, statuses, default_model or only)


def _not_joined(
    models: tuple[ServedModel, ...], why_not_joined: Callable[[ServedModel, Signature], str | None]
) -> dict[str, dict[str, str]]:
    return {
        served.name: {
            signature.name: why
            for signature in served.called_signatures
            if (why := why_not_joined(served, signature)) is not None
        }
        for served in models
    }


def _known(catalog: Catalog, name: str, deadline: Deadline) -> tuple[ServedModel, ...]:
    try:
        return (catalog.served(ModelRef(name), deadline),)
    except GatewayError:
        # It went away between the two questions, or its server did: then it is not ready.
        return ()


def _snippets(served: ServedModel) -> Response:
    model = openapi.documented(served)
    found = snippets.of_model(model, address.of_gateway())
    if request.accept_mimetypes.best_match(["text/plain", _JSON], default="text/plain") == _JSON:
        return _page(orjson.dumps(snippets.as_json(model, found)), _JSON)
    return _page(snippets.text(model, found), _TEXT)


def _asset(name: str) -> Response:
    if name not in _ASSETS:
        raise NotFound(f"there is no route {request.path}")
    data = resources.files("flask_swagger_ui").joinpath("dist", name).read_bytes()
    response = _page(data, _ASSETS[name])
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def _page(body: str | bytes, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
