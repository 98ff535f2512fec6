"""What is kept of an answered request until its spans are made: values only, no body and no tensor."""

from typing import NamedTuple

from gateway.call import Call
from gateway.telemetry.spans import RequestSpan


class Record(NamedTuple):
    """An answered request. Times are in seconds of ``time.monotonic``; 0.0 for what did not take place.

    ``model``, ``version`` and ``signature`` are empty unless the catalog knows them. ``is_prediction``: one was asked for, so
    that the request counts in the metrics.
    """

    span: RequestSpan
    request_id: str
    method: str
    path: str
    scheme: str
    client: str
    user_agent: str
    status: int
    error: str | None
    started_s: float
    ended_s: float
    parse_started_s: float
    parse_ended_s: float
    built_s: float = 0.0
    answered_s: float = 0.0
    queue_s: float = 0.0
    model: str = ""
    version: int | None = None
    signature: str = ""
    rows: int | None = None
    batch_rows: int | None = None
    cache: str | None = None
    rollout: str | None = None
    arm: str | None = None
    is_prediction: bool = False


def record_of(span: RequestSpan, call: Call, status: int, total_s: float) -> Record:
    """The record of ``call``, which was answered with HTTP ``status`` after ``total_s`` seconds."""
    trace = call.trace
    start = call.complete_s
    parse_started_s = call.parse_started_s
    facts = (
        span,
        call.id,
        call.method,
        call.path,
        call.scheme,
        call.client,
        call.headers.get("user-agent", ""),
        status,
        call.error_code,
        start,
        start + total_s,
        parse_started_s,
        parse_started_s + call.parse_s,
    )
    if trace is None:
        return Record(*facts)
    model, signature = (trace.model, trace.signature) if trace.is_known else ("", "")
    return Record(
        *facts,
        trace.built_s,
        trace.answered_s,
        trace.queue_s,
        model,
        trace.version,
        signature,
        trace.rows,
        trace.batch_rows,
        trace.cache,
        trace.rollout,
        trace.arm,
        is_prediction=True,
    )
