"""For those who run it: /healthz (this process lives), /readyz (every model answers), /metrics, and /health for clients."""

from collections.abc import Callable

import orjson
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.inference.status import ModelStatus


def blueprint(
    required: Callable[[], tuple[ModelStatus, ...]],
    why_not_ready: Callable[[], list[str]],
    render_metrics: Callable[[], bytes],
) -> Blueprint:
    """The operational routes. ``required`` and ``why_not_ready`` are as in the function of that name."""
    ops = Blueprint("ops", __name__)

    @ops.get("/health")
    def health() -> Response:
        return _json({"ok": True, "status": "up"})

    @ops.get("/healthz")
    def healthz() -> Response:
        """Never asks the backend: a restart of this process would not bring the model server back."""
        return _json({"status": "alive"})

    @ops.get("/readyz")
    def readyz() -> Response:
        reasons = why_not_ready()
        body = {"ready": not reasons, "reasons": reasons, "models": [_model(model) for model in required()]}
        return _json(body, 503 if reasons else 200)

    @ops.get("/metrics")
    def metrics() -> Response:
        return Response(render_metrics(), content_type=CONTENT_TYPE_LATEST)

    return ops


def why_not_ready(
    required: Callable[[], tuple[ModelStatus, ...]],
    not_ready_elsewhere: Callable[[], frozenset[str]],
    is_reachable: Callable[[], bool],
    is_draining: Callable[[], bool],
) -> list[str]:
    """The reasons for which the gateway should get no requests; none: it is ready.

    ``required`` gives the models that must be served for that, ``not_ready_elsewhere`` the names of those that another worker
    cannot reach: who is told that the gateway is ready may meet any worker next.
    """
    models = required()
    if is_draining():
        return ["the gateway is shutting down"]
    if not models and not is_reachable():
        return ["the model server cannot be reached"]
    here = [f"{model.name}: {'; '.join(model.problems)}" for model in models if not model.is_ready]
    return here or [
        f"{model.name}: not every worker can reach it yet" for model in models if model.name in not_ready_elsewhere()
    ]


def _model(model: ModelStatus) -> dict[str, object]:
    return {
        "name": model.name,
        "ready": model.is_ready,
        "available": [str(version) for version in model.available],
        "problems": list(model.problems),
    }


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status=status, content_type="application/json")
