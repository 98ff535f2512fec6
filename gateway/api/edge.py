"""What happens to every request: an id and a deadline, the handler, an error as an answer, headers, the log line, metrics."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from gateway.access.key_text import hide_in_path, hide_secrets
from gateway.api import errors
from gateway.api.errors import InternalError
from gateway.api.origins import Origins
from gateway.call import ANYBODY, Answer, Call, Handler
from gateway.deadline import Deadline
from gateway.errors import Cancelled, GatewayError, Unavailable, out_of_memory
from gateway.inference.suggestions import short_name, with_served
from gateway.telemetry import logs
from gateway.telemetry.logs import logger
from gateway.telemetry.request_metrics import UNKNOWN, Labels, Prediction, RequestMetrics
from gateway.telemetry.trace import Trace
from gateway.telemetry.traceparent import format_trace_id

log = logger("request")

# A client's own id is taken over when it fits a header and a log line; otherwise one is made.
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}\Z")
Offer: TypeAlias = Callable[[Call, Trace, Answer, float], None]
"""Offers an answered request for a prediction, and the seconds that it took, to the prediction log. It raises nothing."""

SchemeOf: TypeAlias = Callable[[Call], str]
"""The scheme by which the client of a call asked, which may differ from that of a proxy in between."""


class Tracer(Protocol):
    """Makes the traces of requests. Both raise nothing."""

    def begin(self, call: Call) -> None:
        """Give ``call`` its span."""

    def end(self, call: Call, status: int, total_s: float) -> None:
        """``call`` was answered with HTTP ``status`` after ``total_s`` seconds."""


_PROBES: Final = ("/healthz", "/readyz", "/metrics", "/health")
# Open pages of the console ask for these each second.
_POLLED: Final = ("/admin/console/models.json", "/admin/console/ring.json")
_UNTRACED: Final = (*_PROBES, *_POLLED, "/v2/health/live", "/v2/health/ready")


class Edge:
    """Answers the calls of one worker, each within ``timeout_s`` seconds of when it was complete. For one event loop.

    ``tfserving_headers`` are added to every answer of TensorFlow Serving's routes. ``offer``: None without a prediction log.
    ``origins`` are those whose pages may read answers; None: none. ``scheme_of``: None where every client asks directly.
    ``tracer``: None without traces. ``probes``: paths besides our own that are asked as often as those of probes.
    """

    def __init__(
        self,
        timeout_s: float,
        tfserving_headers: Sequence[tuple[str, str]] = (),
        *,
        offer: Offer | None = None,
        origins: Origins | None = None,
        scheme_of: SchemeOf | None = None,
        tracer: Tracer | None = None,
        probes: Sequence[str] = (),
    ) -> None:
        self._quiet = (*_PROBES, *_POLLED, *probes)
        self._untraced = (*_UNTRACED, *probes)
        self._tracer = tracer
        self._offer = offer
        self._scheme_of = scheme_of
        self._origins = origins
        self._timeout_s = timeout_s
        self._tfserving_headers = tfserving_headers
        self.metrics = RequestMetrics()

    def preflight(self, call: Call) -> Handler | None:
        """What answers ``call`` if a browser sends it before the request of a page that may read the answer, otherwise None."""
        return None if self._origins is None else self._origins.preflight(call)

    async def answer(self, call: Call, handler: Handler) -> Answer:
        """What ``handler`` answers to ``call``, or the error that it raises, as an answer. Raises only CancelledError."""
        call.id = id_of(call)
        if self._scheme_of is not None:
            call.scheme = self._scheme_of(call)
        call.deadline = Deadline(call.complete_s + self._timeout_s, self._timeout_s)
        if self._tracer is not None and call.path not in self._untraced:
            self._tracer.begin(call)
        self.metrics.enter()
        try:
            answer = await handler(call)
        except GatewayError as error:
            answer = _refused(call, error)
        except asyncio.CancelledError:
            # The client went away: no answer is sent, but the log line and the metrics are written.
            self._finish(call, _refused(call, Cancelled("the client went away")))
            raise
        except MemoryError:
            log.error("request.no_memory", id=call.id, path=hide_in_path(call.path), bytes=len(call.body))  # noqa: TRY400
            answer = _refused(call, out_of_memory())
        except Exception:
            log.exception("request.failed", id=call.id, path=hide_in_path(call.path))
            answer = _refused(call, InternalError(f"something went wrong here; the log knows more of request {call.id}"))
        finally:
            self.metrics.leave()
            for work in call.when_answered:
                work()
        self._finish(call, answer)
        return answer

    def refuse(self, call: Call, error: GatewayError) -> Answer:
        """The answer to a call that the server refuses with ``error`` before it is complete, or because of its bounds."""
        call.id = id_of(call)
        answer = _refused(call, error)
        if isinstance(error, Unavailable):
            # Under overload there are thousands of them: they are counted, and logged together once a second.
            self.metrics.refuse(error.setting)
            self._add_headers(call, answer)
        else:
            self._finish(call, answer)
        return answer

    def _finish(self, call: Call, answer: Answer) -> None:
        self._add_headers(call, answer)
        total_s = time.monotonic() - call.complete_s
        trace = call.trace
        if trace is not None:
            labels = Labels(trace.model, str(trace.version), trace.signature) if trace.is_known else UNKNOWN
            rows = trace.rows if answer.status == 200 and trace.rows is not None else 0
            self.metrics.add(Prediction(labels, answer.status, total_s, trace.backend_s, rows))
            if self._offer is not None and trace.is_logged:
                self._offer(call, trace, answer, total_s)
        if call.caller.name is not None:
            self.metrics.add_key(call.caller.name, answer.status)
        if self._tracer is not None:
            self._tracer.end(call, answer.status, total_s)
        _log(call, trace, answer.status, total_s, is_quiet=call.path in self._quiet)

    def _add_headers(self, call: Call, answer: Answer) -> None:
        headers, trace = answer.headers, call.trace
        is_allowed = self._origins is not None and self._origins.add_headers(call, answer)
        if self._tfserving_headers and not is_allowed and errors.is_tfserving(call.dialect_path):
            headers.extend(self._tfserving_headers)
        headers.append(("X-Request-Id", call.id))
        if call.caller is not ANYBODY:
            headers.extend(call.caller.headers())
        if trace is not None:
            if trace.version is not None:
                headers.append(("X-Model-Version", str(trace.version)))
            if trace.cache is not None:
                headers.append(("X-Cache", trace.cache))
            if trace.note is not None:
                headers.append(("X-Rollout", trace.note))
            if call.headers.get("x-timing") == "on":
                headers.append(("Server-Timing", _timing(call, trace)))


def id_of(call: Call) -> str:
    """The id that the client gave if it is a proper one, without any key that is in it; otherwise a new one."""
    given = call.headers.get("x-request-id")
    return hide_secrets(given) if given and _REQUEST_ID.match(given) else random.getrandbits(128).to_bytes(16, "big").hex()


def _refused(call: Call, error: GatewayError) -> Answer:
    call.error_code, call.setting = error.code, error.setting
    if error.unknown_model is not None:
        error = with_served(error, error.unknown_model, call.caller.may_see)
    return errors.to_answer(error, call.dialect_path)


def _log(call: Call, trace: Trace | None, status: int, total_s: float, *, is_quiet: bool) -> None:
    fields: dict[str, Any] = {"id": call.id, "method": call.method, "path": hide_in_path(call.path), "status": status}
    if call.span is not None:
        fields["trace_id"] = format_trace_id(call.span.trace_id)
    if trace is not None:
        fields["model"] = trace.model
        fields["version"] = trace.version
        fields["signature"] = short_name(trace.signature)
        fields["rows"] = trace.rows
        fields["parse_ms"] = _ms(call.parse_s + trace.build_s)
        fields["queue_ms"] = _ms(trace.queue_s)
        fields["backend_ms"] = _ms(trace.backend_s)
        if trace.cache is not None:
            fields["cache"] = trace.cache
        if trace.rollout is not None:
            fields["rollout"] = trace.rollout
            fields["arm"] = trace.arm
    if call.caller.name is not None:
        fields["key"] = call.caller.name
    if call.error_code is not None:
        fields["error"] = call.error_code
    if call.setting is not None:
        fields |= call.setting.as_fields()
    fields["total_ms"] = _ms(total_s)
    logs.write_request("debug" if status < 400 and is_quiet else "info", fields)


def _timing(call: Call, trace: Trace) -> str:
    """Where the time went, in milliseconds, and the rows of the call of the model server (https://www.w3.org/TR/server-timing/)."""
    times = {
        "parse": call.parse_s + trace.build_s,
        "queue": trace.queue_s,
        "model": trace.backend_s,
        "total": time.monotonic() - call.complete_s,
    }
    told = [f"{name};dur={_ms(seconds)}" for name, seconds in times.items()]
    if trace.batch_rows is not None:
        told.append(f'batch;desc="{trace.batch_rows}"')
    return ", ".join(told)


def _ms(seconds: float) -> float:
    return int(seconds * 1e6 + 0.5) / 1000  # of ``round`` it takes a third of the time, four times in each request
