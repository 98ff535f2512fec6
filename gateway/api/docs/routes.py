"""/, /openapi.json, /docs and /docs/models/<model>: documentation that follows the models.

Nothing of it comes from another host: the page's files are those of Swagger UI in the flask-swagger-ui package, and the
Content-Security-Policy allows no other source.
"""

import asyncio
from importlib import resources
from typing import Final

import orjson
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from gateway.api import address
from gateway.api.docs.home import home_answer
from gateway.api.docs.openapi import Limits, Served, openapi_json
from gateway.api.docs.page import HTML, STATIC, page
from gateway.api.docs.snippets import model_snippets, snippets_json, snippets_text
from gateway.api.errors import JSON
from gateway.api.routes import Route
from gateway.api.samples.model import DocumentedModel
from gateway.api.sight import require_sight, visible
from gateway.api.tfserving.routes import WhyNotJoined
from gateway.call import Answer, Call
from gateway.errors import GatewayError, NotFound
from gateway.inference.catalog import Catalog
from gateway.inference.signature import ModelRef, ServedModel

_CSS: Final = "text/css; charset=utf-8"
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_SWAGGER_UI: Final = resources.files("flask_swagger_ui").joinpath("dist")
_ASSETS: Final = {
    "start.js": (STATIC, _JAVASCRIPT),
    "home.css": (STATIC, _CSS),
    "swagger-ui.css": (_SWAGGER_UI, _CSS),
    "swagger-ui-bundle.js": (_SWAGGER_UI, _JAVASCRIPT),
    "favicon-32x32.png": (_SWAGGER_UI, "image/png"),
}


class Docs:
    """The handlers. ``default_model`` is the model of a bare /predict; empty: the only one, if there is one.

    ``why_not_joined`` says why requests for a signature of a version are never joined into batches; None: they may be.
    ``has_console``: there is a page at /console/.
    """

    def __init__(
        self, catalog: Catalog, default_model: str, limits: Limits, why_not_joined: WhyNotJoined, *, has_console: bool
    ) -> None:
        self._catalog = catalog
        self._default_model = default_model
        self._limits = limits
        self._why_not_joined = why_not_joined
        self._has_console = has_console

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/", ("GET",), self.home),
            Route("/openapi.json", ("GET",), self.document, scope="metadata"),
            Route("/docs", ("GET",), self.docs),
            Route("/docs/<name>", ("GET",), self.asset),
            Route("/docs/models/<model>", ("GET",), self.snippets, scope="metadata"),
        ]

    async def home(self, call: Call) -> Answer:
        """What is here: a page, or the same facts as JSON."""
        return home_answer(call, self._catalog, needs_key=self._limits.needs_key, has_console=self._has_console)

    async def document(self, call: Call) -> Answer:
        """The OpenAPI document of the models that are served at this moment, and that the caller may know of."""
        statuses = visible(call, self._catalog.models())
        known = [await self._known(call, status.name) for status in statuses if status.is_ready]
        models = tuple(served for served in known if served is not None)
        only = statuses[0].name if len(statuses) == 1 else ""
        default = self._default_model if call.caller.may_see(self._default_model) else ""
        served = Served(models, statuses, default or only, self._not_joined(models))
        return page(await asyncio.to_thread(openapi_json, served, self._limits), JSON)

    async def docs(self, call: Call) -> Answer:
        """The document as a page."""
        # Addresses relative to the page's own work behind a proxy that takes a prefix off.
        here = "" if call.path.endswith("/") else "docs/"
        return page(STATIC.joinpath("docs.html").read_text().replace("{here}", here).encode(), HTML)

    async def asset(self, call: Call, name: str) -> Answer:
        """A file that the page needs."""
        if name not in _ASSETS:
            raise NotFound(f"there is no route {call.path}")
        folder, media_type = _ASSETS[name]
        return page(await asyncio.to_thread(folder.joinpath(name).read_bytes), media_type, "public, max-age=3600")

    async def snippets(self, call: Call, model: str) -> Answer:
        """Programs that call a model, as text or as JSON."""
        require_sight(call, ModelRef(model), self._catalog)
        served = await self._catalog.served(ModelRef(model), call.deadline)
        documented = DocumentedModel(served, address.gateway_address(call), needs_key=self._limits.needs_key)
        found = await asyncio.to_thread(model_snippets, documented)
        accept = parse_accept_header(call.headers.get("accept", ""), MIMEAccept)
        if accept.best_match(["text/plain", JSON], default="text/plain") == JSON:
            return page(orjson.dumps(snippets_json(documented, found)), JSON)
        return page(snippets_text(documented, found).encode(), _TEXT)

    async def _known(self, call: Call, name: str) -> ServedModel | None:
        try:
            return await self._catalog.served(ModelRef(name), call.deadline)
        except GatewayError:
            # It went away between the two questions, or its server did: then it is not ready.
            return None

    def _not_joined(self, models: tuple[ServedModel, ...]) -> dict[str, dict[str, str]]:
        return {
            served.name: {
                signature.name: why
                for signature in served.called_signatures
                if (why := self._why_not_joined(served, signature)) is not None
            }
            for served in models
        }
