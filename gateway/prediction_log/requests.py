"""Answered requests for predictions -> what the prediction log keeps of them."""

import re
from functools import partial
from typing import Final

from gateway.call import Answer, Call
from gateway.inference.signature import Tensors
from gateway.prediction_log.entry import Facts
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import PredictionRow
from gateway.telemetry.trace import Trace, TracedTensors

_CACHE: Final = {None: "off", "hit": "hit", "miss": "miss", "shared": "joined"}
_DIALECTS: Final = {"/v1/": "tfserving", "/v2/": "openinference"}
# https://www.w3.org/TR/trace-context/#traceparent-header: the version, then the id of the trace.
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-")
# Tensors that are still to be made, of a longer body, would hold up the event loop.
_MOST_BYTES: Final = 65_536


def offer_request(log: PredictionLog, call: Call, trace: Trace, answer: Answer, total_s: float) -> None:
    """Offer ``log`` the row of a request that was answered after ``total_s`` seconds."""
    log.offer(call.id, trace.model, answer.status, partial(_facts, call, trace, answer, total_s))


def _facts(call: Call, trace: Trace, answer: Answer, total_s: float) -> Facts:
    is_too_long = callable(trace.inputs) and len(call.body) > _MOST_BYTES
    row = PredictionRow(
        trace_id=_trace_id(call),
        request_id=call.id,
        model=trace.model,
        version=trace.version,
        signature=trace.signature,
        key=call.caller.name,
        dialect=_DIALECTS.get(call.path[:4].lower(), "simple"),
        rows=trace.rows,
        status=answer.status,
        error=call.error_code,
        total_us=_us(total_s),
        queue_us=_us(trace.queue_s),
        backend_us=_us(trace.backend_s),
        batch_rows=trace.batch_rows,
        cache=_CACHE[trace.cache],
        bytes_in=len(call.body),
        bytes_out=len(answer.body),
        truncated=is_too_long,
    )
    return Facts(row) if is_too_long else Facts(row, _made(trace.inputs), _made(trace.outputs))


def _made(tensors: TracedTensors) -> Tensors | None:
    return tensors() if callable(tensors) else tensors


def _trace_id(call: Call) -> str | None:
    given = call.headers.get("traceparent")
    found = _TRACE.match(given) if given else None
    return found[1] if found else None


def _us(seconds: float) -> int:
    return int(seconds * 1e6 + 0.5)
