"""Requests as the edge sees them, and a sink that keeps what it is given."""

import threading
import time

from gateway.call import Call
from gateway.telemetry.spans import CallSpan
from gateway.tracing.exporter import Exporter
from gateway.tracing.finished import CLIENT, SERVER
from gateway.tracing.sampler import Sampler
from gateway.tracing.tracer import Tracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-b7ad6b7169203331-0{flag}" for flag in (1, 0))
METHOD = "tensorflow.serving.PredictionService/Predict"


class KeepingSink:
    """``reason``: why all is lost; None: nothing is. While ``release`` is not set, it hangs."""

    name = "kept"

    def __init__(self, reason=None):
        self.reason = reason
        self.spans = []
        self.writes = 0
        self.release = threading.Event()
        self.release.set()
        self.is_closed = False

    def encode(self, span):
        return span

    def write(self, spans):
        self.writes += 1
        self.release.wait()
        if self.reason is None:
            self.spans += spans
        return self.reason

    def close(self):
        self.is_closed = True

    def of_requests(self):
        return [span for span in self.spans if span.kind == SERVER]

    def of_calls(self):
        return [span for span in self.spans if span.kind == CLIENT]


def tracing(sink, ratio=0.0, slow_s=0.0, exemplars=None):
    """A tracer, and its exporter."""
    exporter = Exporter(sink, "127.0.0.1", 8500, exemplars)
    return Tracer(exporter, Sampler(ratio), slow_s), exporter


def request(tracer, traceparent=None, **headers):
    """A request that has begun, whose body was read and whose tensors were made."""
    now_s = time.monotonic()
    given = headers if traceparent is None else headers | {"traceparent": traceparent}
    call = Call("POST", "/v1/models/m:predict", "", given, b"{}", complete_s=now_s)
    call.id = "of-this-request"
    tracer.begin(call)
    trace = call.begin("m", "serving_default")
    trace.is_known, trace.version = True, 1
    call.parse_started_s = trace.built_s = now_s
    return call


def model_call(*calls, error="OK"):
    """A call of the model server that these requests share."""
    made = CallSpan(METHOD, [call.span for call in calls])
    made.end(error)
    return made


def end(tracer, call, status=200, total_s=None):
    call.trace.answered_s = time.monotonic()
    tracer.end(call, status, time.monotonic() - call.complete_s if total_s is None else total_s)
