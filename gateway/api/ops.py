"""The operational routes: /healthz (this process runs), /readyz (every model answers), /metrics, and /health for clients."""

import asyncio
from typing import Final

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from gateway.api.errors import json_answer
from gateway.api.readiness import Readiness
from gateway.api.routes import Route
from gateway.api.sight import visible
from gateway.call import Answer, Call
from gateway.inference.catalog import Catalog
from gateway.inference.status import ModelStatus
from gateway.telemetry.exposition import OPENMETRICS, TEXT, Exposition
from gateway.telemetry.request_metrics import RequestMetrics

_OPENMETRICS: Final = "application/openmetrics-text"
_VERSIONS: Final = ("", "1.0.0")
_TEXT: Final = ("text/plain", "text/*", "*/*")


class Ops:
    """The operational handlers."""

    def __init__(self, catalog: Catalog, readiness: Readiness, request_metrics: RequestMetrics, exposition: Exposition) -> None:
        self._catalog = catalog
        self._readiness = readiness
        self._request_metrics = request_metrics
        self._exposition = exposition

    def routes(self) -> list[Route]:
        """The routes. Orchestrators restart a gateway by them, so they do not wait behind requests for the model server."""
        handlers = {"/health": self.health, "/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.metrics}
        scopes = {"/metrics": "metrics"}
        return [Route(rule, ("GET",), handler, on_loop=True, scope=scopes.get(rule, "")) for rule, handler in handlers.items()]

    async def health(self, call: Call) -> Answer:
        """That this process answers, in the form that some clients ask for."""
        return json_answer({"ok": True, "status": "up"})

    async def healthz(self, call: Call) -> Answer:
        """That this process runs. The backend is not asked: a restart of this process would not bring it back."""
        return json_answer({"status": "alive"})

    async def readyz(self, call: Call) -> Answer:
        """Whether the gateway should get requests, why not, and the state of each model."""
        reasons = self._readiness.reasons(call.caller.may_see)
        models = [_model(model) for model in visible(call, self._catalog.required())]
        return json_answer({"ready": not reasons, "reasons": reasons, "models": models}, 503 if reasons else 200)

    async def metrics(self, call: Call) -> Answer:
        """Every metric, of all workers: their files are read in a thread."""
        self._request_metrics.write()
        shown = self._exposition
        is_openmetrics = prefers_openmetrics(call.headers.get("accept", ""))
        text = await asyncio.to_thread(shown.openmetrics if is_openmetrics else shown.text)
        return Answer(200, text, [("Content-Type", OPENMETRICS if is_openmetrics else TEXT)])


def prefers_openmetrics(accept: str) -> bool:
    """Whether a client with this Accept prefers OpenMetrics 1.0.0 to Prometheus' older text, as Prometheus itself does.

    A client that does not name it gets the older one, as before.
    """
    openmetrics = text = 0.0
    for media_range, quality in parse_accept_header(accept, MIMEAccept):
        media_type, options = parse_options_header(media_range)
        if media_type == _OPENMETRICS and options.get("version", "") in _VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media_type in _TEXT:
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def _model(model: ModelStatus) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": model.name,
        "ready": model.is_ready,
        "available": [str(version) for version in model.available],
        "problems": list(model.problems),
    }
    if model.lagging:
        shown["lagging"] = [{"server": lag.server, "lacks": lag.lacks} for lag in model.lagging]
    return shown
