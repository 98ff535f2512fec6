"""The traces of one worker: what a request does for them, and whether it is kept."""

import asyncio
from random import getrandbits
from typing import Final

from gateway.call import Call
from gateway.telemetry.spans import RequestSpan
from gateway.telemetry.traceparent import parse_traceparent, tracestate_of
from gateway.tracing.exporter import Exporter
from gateway.tracing.record import record_of
from gateway.tracing.sampler import LOW_BITS, Sampler

CLOSE_WITHIN_S: Final = 1.8
_SERVER_ERROR: Final = 500


class Tracer:
    """Begins the span of each request, and decides at its end whether it is exported. For one event loop.

    It is, if it is sampled, if it failed (HTTP 500 and above), or if it took ``slow_s`` seconds or longer; 0.0: that is not
    looked at.
    """

    def __init__(self, exporter: Exporter, sampler: Sampler, slow_s: float) -> None:
        self._exporter = exporter
        self._sampler = sampler
        self._bound = sampler.bound
        self._slow_s = slow_s or float("inf")

    def begin(self, call: Call) -> None:
        """Give ``call`` its span: in the trace that its client names, or in a new one."""
        headers = call.headers
        given = headers.get("traceparent")
        parent = None if given is None else parse_traceparent(given)
        if parent is None:
            trace_id = getrandbits(128)
            call.span = RequestSpan(trace_id, 0, trace_id & LOW_BITS < self._bound)
        else:
            is_sampled = self._sampler.is_sampled(parent.trace_id, parent)
            call.span = RequestSpan(parent.trace_id, parent.span_id, is_sampled, tracestate_of(headers))

    def end(self, call: Call, status: int, total_s: float) -> None:
        """``call`` was answered with HTTP ``status`` after ``total_s`` seconds."""
        span = call.span
        if span is None:
            return
        if not (span.is_sampled or status >= _SERVER_ERROR or total_s >= self._slow_s):
            span.discard()
            return
        exporter = self._exporter
        exporter.tally.kept += 1
        if exporter.has_room:
            span.keep()
            exporter.put(record_of(span, call, status, total_s))
        else:
            exporter.tally.full += 1
            span.discard()

    def start(self) -> None:
        """Begin to export, after the fork."""
        self._exporter.start()

    async def close(self) -> None:
        """Export what waits, for less than 2 seconds. No request may be in flight any more."""
        await asyncio.to_thread(self._exporter.close, CLOSE_WITHIN_S)
