"""What every request has: an id, a deadline, a log line, its metrics, and the headers that say who answered."""

import re
import time
import uuid
from typing import Any

from flask import Flask, Response, g, request

from gateway import metrics
from gateway.inference.deadline import Deadline
from gateway.inference.hints import cut
from gateway.inference.predictor import Trace
from gateway.inference.signature import ModelRef
from gateway.logs import logger

log = logger("request")

# A client's own id is taken over when it fits a header and a log line; otherwise one is made.
_REQUEST_ID = re.compile(r"[!-~]{1,128}\Z")
_PROBES = ("/healthz", "/readyz", "/metrics", "/health")


def init_app(app: Flask, timeout_s: float) -> None:
    """Give every request of ``app`` its id and its deadline, and log it when it ends."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        g.started_s = time.perf_counter()
        g.deadline = Deadline.after(timeout_s)
        g.parse_s = 0.0

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        trace: Trace | None = g.get("trace")
        if trace is not None:
            if trace.version is not None:
                response.headers["X-Model-Version"] = str(trace.version)
            _measure(trace, response.status_code)
        _log(trace, response.status_code)
        return response


def begin_trace(model: ModelRef, signature: str | None = None) -> Trace:
    """The trace of this request's prediction: what is put into it reaches the log line, the metrics and the headers."""
    g.trace = Trace(model) if signature is None else Trace(model, signature)
    return g.trace  # type: ignore[no-any-return]


def deadline() -> Deadline:
    """The deadline of this request."""
    return g.deadline  # type: ignore[no-any-return]


def parse_timed(started_s: float) -> None:
    """Note that this request's body took from ``started_s`` (``time.perf_counter``) until now to parse."""
    g.parse_s = time.perf_counter() - started_s


def _measure(trace: Trace, status: int) -> None:
    labels = (trace.model.name, str(trace.version), trace.signature) if trace.is_known else ("", "", "")
    metrics.REQUESTS.labels(*labels, str(status)).inc()
    metrics.REQUEST_SECONDS.labels(*labels).observe(time.perf_counter() - g.started_s)
    if trace.backend_s:
        metrics.BACKEND_SECONDS.labels(*labels).observe(trace.backend_s)
    if status == 200 and trace.rows is not None:
        metrics.ROWS.labels(*labels).inc(trace.rows)


def _log(trace: Trace | None, status: int) -> None:
    fields: dict[str, Any] = {"id": g.request_id, "method": request.method, "path": request.path, "status": status}
    if trace is not None:
        fields |= {"model": trace.model.name, "version": trace.version, "signature": cut(trace.signature), "rows": trace.rows}
        fields |= {
            "parse_ms": _ms(g.parse_s + trace.build_s),
            "queue_ms": _ms(trace.queue_s),
            "backend_ms": _ms(trace.backend_s),
        }
    if "error" in g:
        fields["error"] = g.error
    fields["total_ms"] = _ms(time.perf_counter() - g.started_s)
    write = log.debug if request.path in _PROBES and status < 400 else log.info
    write("request", **fields)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
