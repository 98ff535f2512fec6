"""The operational routes: /healthz (this process runs), /readyz (every model answers), /metrics, and /health for clients."""

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST

from gateway.api.errors import json_answer
from gateway.api.readiness import Readiness
from gateway.api.routes import Route
from gateway.api.sight import visible
from gateway.call import Answer, Call
from gateway.inference.catalog import Catalog
from gateway.inference.status import ModelStatus
from gateway.telemetry.request_metrics import RequestMetrics


class Ops:
    """The operational handlers."""

    def __init__(
        self, catalog: Catalog, readiness: Readiness, request_metrics: RequestMetrics, render_metrics: Callable[[], bytes]
    ) -> None:
        self._catalog = catalog
        self._readiness = readiness
        self._request_metrics = request_metrics
        self._render_metrics = render_metrics

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
        text = await asyncio.to_thread(self._render_metrics)
        return Answer(200, text, [("Content-Type", CONTENT_TYPE_LATEST)])


def _model(model: ModelStatus) -> dict[str, object]:
    return {
        "name": model.name,
        "ready": model.is_ready,
        "available": [str(version) for version in model.available],
        "problems": list(model.problems),
    }
