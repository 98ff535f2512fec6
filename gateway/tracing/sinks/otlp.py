"""Spans to an OTLP receiver over HTTP, by OpenTelemetry's own client.

The client reads the OTEL_EXPORTER_OTLP_* variables: headers, certificates, time-out, compression. It tries again by itself,
within its time-out (10 seconds).
"""

import logging
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from gateway.tracing.finished import FinishedSpan
from gateway.tracing.sinks.otlp_wire import encode_request, encode_span
from gateway.tracing.sinks.resource import SCOPE, resource_attributes

_REDIRECT: Final = 300


class OtlpSink:
    """Sends to ``endpoint``, a URL."""

    def __init__(self, endpoint: str) -> None:
        self.name = endpoint.partition("?")[0].rpartition("@")[2]  # without what may be a password or a token
        # It logs each try; here the first failure of several is logged.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint)
        self._resource = resource_attributes()

    def write(self, spans: Sequence[FinishedSpan]) -> str | None:
        """Send ``spans``; None, or why they are lost."""
        request = encode_request(self._resource, SCOPE, map(encode_span, spans))
        # ``export`` does the same with spans of the SDK, which take ten times as long to be encoded.
        result = self._exporter._client.export(request)
        if result.success and (result.status_code or 0) < _REDIRECT:  # no redirect is followed, as the headers may hold a token
            return None
        return f"HTTP status {result.status_code}" if result.status_code else type(result.error).__name__

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
