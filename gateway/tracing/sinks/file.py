"""Spans to a file, in the form of OpenTelemetry's file exporter: lines of OTLP as JSON, one for each batch.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/. Several workers may write to one file. It is opened for each
batch, so that it may be moved away at any time.
"""

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.tracing.finished import BATCH_ID, FinishedSpan, Link
from gateway.tracing.sinks.resource import SCOPE, resource_attributes

_ERROR: Final = {"code": 2}


class FileSink:
    """Appends to the file ``path``."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._begin = b""  # after a part of a line, which must not spoil the next one
        self._resource = {"attributes": [_attribute(name, value) for name, value in resource_attributes().items()]}

    def encode(self, span: FinishedSpan) -> bytes:
        """``span`` in JSON."""
        return orjson.dumps(_document(span))

    def write(self, spans: Sequence[bytes]) -> str | None:
        """Append ``spans`` as one line; None, or why they are lost."""
        in_scope = {"scope": {"name": SCOPE}, "spans": [orjson.Fragment(span) for span in spans]}
        document = {"resourceSpans": [{"resource": self._resource, "scopeSpans": [in_scope]}]}
        line = self._begin + orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
        try:
            with open_for_append(self._path) as file:
                written = file.write(line)
                if written != len(line):
                    self._begin = b"\n"
                    return "the disk is full"
                self._begin = b""
        except OSError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Nothing is open."""


def open_for_append(path: Path) -> FileIO:
    """The file ``path``, for its owner only if it is made now: addresses of clients are in it. Raises OSError."""
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))


def _document(span: FinishedSpan) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.started_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": [_attribute(name, value) for name, value in span.attributes],
        "flags": span.flags,
    }
    if span.parent_id:
        encoded["parentSpanId"] = f"{span.parent_id:016x}"
    if span.state:
        encoded["traceState"] = span.state
    if span.links:
        encoded["links"] = [_link(link) for link in span.links]
    if span.is_error:
        encoded["status"] = _ERROR
    return encoded


def _link(link: Link) -> dict[str, Any]:
    return {
        "traceId": f"{link.trace_id:032x}",
        "spanId": f"{link.span_id:016x}",
        "attributes": [_attribute(BATCH_ID, link.batch_id)],
    }


def _attribute(name: str, value: Any) -> dict[str, Any]:
    # In JSON, protobuf has 64-bit integers as text.
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}}
