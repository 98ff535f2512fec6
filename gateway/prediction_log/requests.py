"""Answered requests for predictions -> what the prediction log keeps of them."""

from functools import partial
from typing import Final

from gateway.access.key_text import hide_secrets
from gateway.call import Answer, Call
from gateway.prediction_log.entry import Facts
from gateway.prediction_log.log import PredictionLog
from gateway.prediction_log.row import PredictionRow
from gateway.telemetry.trace import Trace

_CACHE: Final = {None: "off", "hit": "hit", "miss": "miss", "shared": "joined"}


def offer_request(log: PredictionLog, call: Call, trace: Trace, answer: Answer, total_s: float) -> None:
    """Offer ``log`` the row of a request that was answered after ``total_s`` seconds."""
    log.offer(call.id, trace.model, answer.status, partial(_facts, call, trace, answer, total_s))


def _facts(call: Call, trace: Trace, answer: Answer, total_s: float) -> Facts:
    row = PredictionRow(
        request_id=call.id,
        model=hide_secrets(trace.model),
        version=trace.version,
        signature=hide_secrets(trace.signature),
        key=call.caller.name,
        dialect=_dialect(call.path),
        rows=trace.rows,
        status=answer.status,
        error=call.error_code,
        total_us=_us(total_s),
        queue_us=_us(trace.queue_s),
        backend_us=_us(trace.backend_s),
        cache=_CACHE[trace.cache],
        bytes_in=len(call.body),
        bytes_out=len(answer.body),
    )
    return Facts(row, trace.inputs, trace.outputs)


def _dialect(path: str) -> str:
    """Whose words a request for ``path`` is in."""
    return {"/v1/": "tfserving", "/v2/": "openinference"}.get(path[:4].lower(), "simple")


def _us(seconds: float) -> int:
    return int(seconds * 1e6 + 0.5)
