"""What every request has: an id, a deadline, a log line, its metrics, and the headers that say who answered."""

import random
import re
import time
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import flask

from gateway.api.application import Application
from gateway.api.message import Request, Response
from gateway.arrival import ARRIVED
from gateway.deadline import Deadline
from gateway.inference.hints import cut
from gateway.inference.predictor import Trace
from gateway.inference.signature import ModelRef
from gateway.telemetry.logs import logger
from gateway.telemetry.request_metrics import Labels, Prediction, Tally

log = logger("request")

# A client's own id is taken over when it fits a header and a log line; otherwise one is made.
_REQUEST_ID = re.compile(r"[!-~]{1,128}\Z")
_current: ContextVar[Request | None] = ContextVar("request", default=None)
_UNKNOWN = Labels("", "", "")
_tally = Tally()
_PROBES = ("/healthz", "/readyz", "/metrics", "/health")


def init_app(app: Application, timeout_s: float, body_limit: int) -> None:
    """Give every request of ``app`` its id, its deadline and the most bytes of its body, and log it when it ends."""

    @app.before_request
    def begin() -> None:
        ours: Request = flask.request._get_current_object()  # type: ignore[attr-defined]
        _current.set(ours)
        now_s = time.perf_counter()
        # Where it has waited for its turn, that is part of its time.
        ours.started_s = ours.environ.get(ARRIVED, now_s)
        ours.deadline = Deadline(time.monotonic() + timeout_s - (now_s - ours.started_s), timeout_s)
        ours.body_limit = body_limit
        ours.id = id_of(ours.environ.get("HTTP_X_REQUEST_ID", ""))

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        _current.set(None)

    @app.after_request
    def end(response: Response) -> Response:
        ours = current()
        response.add_header("X-Request-Id", ours.id)
        trace: Trace | None = ours.trace
        if trace is not None:
            if trace.version is not None:
                response.add_header("X-Model-Version", str(trace.version))
            if trace.cache is not None:
                response.add_header("X-Cache", trace.cache)
            _measure(ours, trace, response.status_code)
        _log(ours, trace, response.status_code)
        return response


def id_of(given: str) -> str:
    """The id of a request whose client gave ``given`` for one: that, or one that is unique and nobody's secret."""
    return given if given and _REQUEST_ID.match(given) else f"{random.getrandbits(128):032x}"


def current() -> Request:
    """The request that is handled here, itself: through Flask's proxy each look at it costs a search."""
    return _current.get() or flask.request._get_current_object()  # type: ignore[attr-defined]


def raw_path() -> str:
    """The path of this request as the client sent it, percent escapes and all."""
    ours = current()
    target: str = ours.environ.get("RAW_URI") or ours.full_path
    # Two slashes at the front are part of the path, and no host.
    return target.partition("?")[0].partition("#")[0] if target.startswith("/") else urlsplit(target).path


def begin_trace(model: ModelRef, signature: str | None = None) -> Trace:
    """The trace of this request's prediction: what is put into it reaches the log line, the metrics and the headers."""
    trace = Trace(model) if signature is None else Trace(model, signature)
    current().trace = trace
    return trace


def deadline() -> Deadline:
    """The deadline of this request."""
    return current().deadline  # type: ignore[no-any-return]


def parse_timed(started_s: float) -> None:
    """Note that this request's body took from ``started_s`` (``time.perf_counter``) until now to parse."""
    current().parse_s = time.perf_counter() - started_s


def _measure(ours: Request, trace: Trace, status: int) -> None:
    labels = Labels(trace.model.name, str(trace.version), trace.signature) if trace.is_known else _UNKNOWN
    rows = trace.rows if status == 200 and trace.rows is not None else 0
    _tally.add(Prediction(labels, status, time.perf_counter() - ours.started_s, trace.backend_s, rows))


def _log(ours: Request, trace: Trace | None, status: int) -> None:
    fields: dict[str, Any] = {"id": ours.id, "method": ours.method, "path": ours.path, "status": status}
    if trace is not None:
        fields["model"] = trace.model.name
        fields["version"] = trace.version
        fields["signature"] = cut(trace.signature)
        fields["rows"] = trace.rows
        fields["parse_ms"] = _ms(ours.parse_s + trace.build_s)
        fields["queue_ms"] = _ms(trace.queue_s)
        fields["backend_ms"] = _ms(trace.backend_s)
        if trace.cache is not None:
            fields["cache"] = trace.cache
    if ours.error_code is not None:
        fields["error"] = ours.error_code
    if ours.setting is not None:
        fields |= ours.setting.as_fields()
    fields["total_ms"] = _ms(time.perf_counter() - ours.started_s)
    write = log.debug if status < 400 and ours.path in _PROBES else log.info
    write("request", **fields)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
