"""Spans to an OTLP receiver over HTTP, by OpenTelemetry's own messages and client.

The client reads the OTEL_EXPORTER_OTLP_* variables: headers, certificates, time-out, compression. It tries again by itself,
within its time-out (10 seconds).
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gateway.tracing.finished import FinishedSpan, Link
from gateway.tracing.sinks.resource import SCOPE, resource_attributes

_ERROR: Final = Status(code=Status.STATUS_CODE_ERROR)
_LONGEST_REMEMBERED: Final = 64
_BATCH_ID: Final = "inference.batch.id"


class OtlpSink:
    """Sends to ``endpoint``, a URL."""

    def __init__(self, endpoint: str) -> None:
        self.name = endpoint.rpartition("@")[2]  # without what may be a password
        # It logs each try; here the first failure of several is logged.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint)
        attributes = [_attribute(name, value) for name, value in resource_attributes().items()]
        self._resource = Resource(attributes=attributes)
        self._scope = InstrumentationScope(name=SCOPE)

    def write(self, spans: Sequence[FinishedSpan]) -> str | None:
        """Send ``spans``; None, or why they are lost."""
        in_scope = ScopeSpans(scope=self._scope, spans=[_encoded(span) for span in spans])
        request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[in_scope])])
        # What ``export`` does with the SDK's spans, which take three times as long to be encoded: in this thread, but at the
        # expense of the event loop.
        result = self._exporter._client.export(request.SerializeToString())
        if result.success:
            return None
        return f"HTTP status {result.status_code}" if result.status_code else type(result.error).__name__

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _encoded(span: FinishedSpan) -> Span:
    return Span(
        trace_id=span.trace_id.to_bytes(16, "big"),
        span_id=span.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        trace_state=span.state,
        name=span.name,
        kind=span.kind,  # type: ignore[arg-type]
        start_time_unix_nano=span.started_ns,
        end_time_unix_nano=span.ended_ns,
        attributes=[_attribute(name, value) for name, value in span.attributes],
        links=[_link(link) for link in span.links],
        status=_ERROR if span.is_error else None,
        flags=span.flags,
    )


def _link(link: Link) -> Span.Link:
    return Span.Link(
        trace_id=link.trace_id.to_bytes(16, "big"),
        span_id=link.span_id.to_bytes(8, "big"),
        attributes=[_attribute(_BATCH_ID, link.batch_id)],
    )


def _attribute(name: str, value: Any) -> KeyValue:
    if isinstance(value, str) and len(value) > _LONGEST_REMEMBERED:
        return _made(name, value)
    return _remembered(name, value)


def _made(name: str, value: Any) -> KeyValue:
    if isinstance(value, int):
        return KeyValue(key=name, value=AnyValue(int_value=value))
    return KeyValue(key=name, value=AnyValue(string_value=str(value)))


_remembered: Final = lru_cache(1024)(_made)
