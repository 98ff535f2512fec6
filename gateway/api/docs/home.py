"""GET /: what this is, which models there are, and how to call one. A page for a browser, JSON for any other client.

It needs no key; where all else does, it tells of no model.
"""

import html
import itertools
from typing import Final
from urllib.parse import quote

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from gateway.api import address
from gateway.api.advice.worked_example import predict_curl
from gateway.api.docs.page import HTML, STATIC, page
from gateway.api.errors import JSON, json_answer
from gateway.api.openinference.routes import SERVER_NAME
from gateway.api.readiness import readiness_entry
from gateway.api.samples.model import DocumentedModel
from gateway.api.sight import visible
from gateway.call import Answer, Call
from gateway.inference.catalog import Catalog
from gateway.inference.status import ModelStatus

_LINKS: Final = {"docs": "/docs", "openapi": "/openapi.json", "readiness": "/readyz", "metrics": "/metrics"}
_CONSOLE_LINK: Final = {"console": "/console/"}
_CONSOLE: Final = (
    '<p><a href="console/">Open the console</a>: models to try and to compare, rollouts and why they ended, the log</p>\n'
)
_NEEDS_KEY: Final = (
    "<p>A request needs a key: <code>Authorization: Bearer KEY</code>. The models are listed by "
    '<code>GET /v1/models</code>, and on <a href="docs">/docs</a>.</p>'
)
_MOST_WRITTEN: Final = 20
"""Of so many models a program is written, to show the shortest."""

_NO_MODEL: Final = "<p>No model can be called now: /readyz says why.</p>"


def home_answer(call: Call, catalog: Catalog, *, needs_key: bool, has_console: bool) -> Answer:
    """The answer to GET /. ``needs_key``: predictions and lists need a key. ``has_console``: there is a page at /console/."""
    models = visible(call, catalog.models())
    example = _example(call, catalog, models)
    accept = parse_accept_header(call.headers.get("accept", ""), MIMEAccept)
    if accept.best_match([JSON, "text/html"], default=JSON) == JSON:
        facts = {"name": SERVER_NAME, "models": [readiness_entry(model) for model in models], "example": example}
        return json_answer(facts | {"links": (_CONSOLE_LINK if has_console else {}) | _LINKS})
    text = STATIC.joinpath("home.html").read_text().replace("{console}", _CONSOLE if has_console else "")
    shown = f"<pre>{html.escape(example)}</pre>" if example else _NO_MODEL
    listed = _NEEDS_KEY if needs_key else _table(models)
    tried = "" if needs_key and not example else f"<h2>Try one</h2>\n{shown}\n"
    return page(text.replace("{models}", listed).replace("{example}", tried).encode(), HTML)


def _example(call: Call, catalog: Catalog, models: tuple[ModelStatus, ...]) -> str:
    """The shortest curl that calls one of the first models; empty when none of them can be called."""
    here = address.gateway_address(call)
    served = (known for model in models if model.is_ready for known in catalog.known(model.name)[:1])
    programs = filter(None, (predict_curl(DocumentedModel(known, here)) for known in itertools.islice(served, _MOST_WRITTEN)))
    return min(programs, key=len, default="")


def _table(models: tuple[ModelStatus, ...]) -> str:
    if not models:
        return "<p>No model is known yet.</p>"
    rows = "\n".join(_row(model) for model in models)
    return f"<table>\n<tr><th>model</th><th>state</th><th>versions</th></tr>\n{rows}\n</table>"


def _row(model: ModelStatus) -> str:
    name = html.escape(model.name)
    if "/" not in model.name:
        name = f'<a href="docs/models/{quote(model.name, safe="")}">{name}</a>'
    kind, state = ("ready", "ready") if model.is_ready else ("not-ready", f"not ready: {'; '.join(model.problems)}")
    versions = ", ".join(f"{version.version} {version.state}" for version in model.versions)
    cells = (name, f'<span class="{kind}">{html.escape(state)}</span>', html.escape(versions))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
