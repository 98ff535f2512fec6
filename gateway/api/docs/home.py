"""GET /: what this is, which models there are, and how to call one. A page for a browser, JSON for any other client."""

import html
from typing import Final
from urllib.parse import quote

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from gateway.api import address
from gateway.api.advice.worked_example import predict_curl
from gateway.api.docs.page import HTML, STATIC, page
from gateway.api.errors import JSON, json_answer
from gateway.api.readiness import listed
from gateway.api.routes import Route
from gateway.api.samples.model import DocumentedModel
from gateway.call import Answer, Call
from gateway.inference.catalog import Catalog
from gateway.inference.status import ModelStatus

_LINKS: Final = {"docs": "/docs", "openapi": "/openapi.json", "readiness": "/readyz", "metrics": "/metrics"}
_NO_MODEL: Final = "<p>No model can be called now: /readyz says why.</p>"


class Home:
    """The handler."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/", ("GET",), self.home)]

    async def home(self, call: Call) -> Answer:
        """The page, or the same facts as JSON."""
        models, example = self._catalog.models(), self._example(call)
        accept = parse_accept_header(call.headers.get("accept", ""), MIMEAccept)
        if accept.best_match([JSON, "text/html"], default=JSON) == JSON:
            facts = {"name": "serving-gateway", "models": [listed(model) for model in models], "example": example}
            return json_answer(facts | {"links": _LINKS})
        text = STATIC.joinpath("home.html").read_text()
        shown = f"<pre>{html.escape(example)}</pre>" if example else _NO_MODEL
        return page(text.replace("{models}", _table(models)).replace("{example}", shown).encode(), HTML)

    def _example(self, call: Call) -> str:
        """The shortest curl that calls one of the models; empty when none can be called."""
        here = address.of_gateway(call)
        served = [known for model in self._catalog.models() if model.is_ready for known in self._catalog.known(model.name)[:1]]
        models = [DocumentedModel(known, here) for known in served]
        return min(filter(None, map(predict_curl, models)), key=len, default="")


def _table(models: tuple[ModelStatus, ...]) -> str:
    if not models:
        return "<p>No model is known yet.</p>"
    rows = "\n".join(_row(model) for model in models)
    return f"<table>\n<tr><th>model</th><th>state</th><th>versions</th></tr>\n{rows}\n</table>"


def _row(model: ModelStatus) -> str:
    state = "ready" if model.is_ready else f"not ready: {'; '.join(model.problems)}"
    versions = ", ".join(f"{version.version} {version.state}" for version in model.versions)
    kind = "ready" if model.is_ready else "not-ready"
    snippets = f'<a href="docs/models/{quote(model.name, safe="")}">{html.escape(model.name)}</a>'
    cells = (
        snippets if "/" not in model.name else html.escape(model.name),
        f'<span class="{kind}">{html.escape(state)}</span>',
        html.escape(versions),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
