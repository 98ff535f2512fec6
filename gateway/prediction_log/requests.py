"""Answered requests for predictions -> what the prediction log keeps of them."""

from typing import Final

from gateway.access.key_text import hide_secrets
from gateway.call import Answer, Call
from gateway.prediction_log.entry import Facts
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import PredictionRow
from gateway.telemetry.trace import Trace
from gateway.telemetry.traceparent import format_trace_id, parse_traceparent

_CACHE: Final = {None: "off", "hit": "hit", "miss": "miss", "shared": "joined"}
_DIALECTS: Final = {"/v1": "tfserving", "/V1": "tfserving", "/v2": "openinference"}
# Tensors that are still to be made, of a longer body, would hold up the event loop.
_MOST_BYTES: Final = 65_536


def offer_request(log: PredictionLog, call: Call, trace: Trace, answer: Answer, total_s: float) -> None:
    """Offer ``log`` the row of a request that was answered after ``total_s`` seconds."""
    log.offer(call.id, trace.model, answer.status, _facts, call, trace, answer, total_s)


def _facts(call: Call, trace: Trace, answer: Answer, total_s: float) -> Facts:
    inputs, outputs = trace.inputs, trace.outputs
    is_too_long = False
    if callable(inputs):
        is_too_long = len(call.body) > _MOST_BYTES
        inputs = None if is_too_long else inputs()
    if callable(outputs):
        outputs = None if is_too_long else outputs()
    row = PredictionRow(
        request_id=call.id,
        trace_id=_trace_id(call),
        # The client's own words, until the version is known.
        model=trace.model if trace.is_known else hide_secrets(trace.model),
        version=trace.version,
        signature=trace.signature if trace.is_known else hide_secrets(trace.signature),
        arm=trace.arm or "stable",
        rollout=trace.rollout,
        key=call.caller.name,
        dialect=_DIALECTS.get(call.dialect_path[:3], "simple"),
        rows=trace.rows,
        status=answer.status,
        error=call.error_code,
        total_us=int(total_s * 1e6),
        queue_us=int(trace.queue_s * 1e6),
        backend_us=int(trace.backend_s * 1e6),
        batch_rows=trace.batch_rows,
        cache=_CACHE[trace.cache],
        bytes_in=len(call.body),
        bytes_out=len(answer.body),
        truncated=is_too_long,
    )
    return row, inputs, outputs


def _trace_id(call: Call) -> str | None:
    """Of the request's own span, or else of the client's."""
    if call.span is not None:
        return format_trace_id(call.span.trace_id)
    given = call.headers.get("traceparent")
    parent = None if given is None else parse_traceparent(given)
    return None if parent is None else format_trace_id(parent.trace_id)
