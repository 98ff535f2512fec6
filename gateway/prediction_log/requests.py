"""Answered requests for predictions -> what the prediction log keeps of them."""

import re
from typing import Final

from gateway.access.key_text import hide_secrets
from gateway.call import Answer, Call
from gateway.prediction_log.entry import Facts
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import PredictionRow
from gateway.telemetry.trace import Trace

_CACHE: Final = {None: "off", "hit": "hit", "miss": "miss", "shared": "joined"}
_DIALECTS: Final = {"/v1": "tfserving", "/V1": "tfserving", "/v2": "openinference"}
# https://www.w3.org/TR/trace-context/#traceparent-header: the version, then the id of the trace.
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-")
# Tensors that are still to be made, of a longer body, would hold up the event loop.
_MOST_BYTES: Final = 65_536


def offer_request(log: PredictionLog, call: Call, trace: Trace, answer: Answer, total_s: float) -> None:
    """Offer ``log`` the row of a request that was answered after ``total_s`` seconds."""
    log.offer(call.id, trace.model, answer.status, _facts, call, trace, answer, total_s)


def _facts(call: Call, trace: Trace, answer: Answer, total_s: float) -> Facts:
    traceparent = call.headers.get("traceparent")
    inputs, outputs = trace.inputs, trace.outputs
    is_too_long = False
    if callable(inputs):
        is_too_long = len(call.body) > _MOST_BYTES
        inputs = None if is_too_long else inputs()
    if callable(outputs):
        outputs = None if is_too_long else outputs()
    row = PredictionRow(
        request_id=call.id,
        trace_id=None if traceparent is None else _trace_id(traceparent),
        # The client's own words, until the version is known.
        model=trace.model if trace.is_known else hide_secrets(trace.model),
        version=trace.version,
        signature=trace.signature if trace.is_known else hide_secrets(trace.signature),
        key=call.caller.name,
        dialect=_DIALECTS.get(call.path[:3], "simple"),
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


def _trace_id(traceparent: str) -> str | None:
    found = _TRACE.match(traceparent)
    return found[1] if found else None
