"""Spans as an OTLP receiver and a file get them: the same, in two forms."""

import json
import resource

import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from gateway.tracing.finished import CLIENT, SERVER, FinishedSpan, Link
from gateway.tracing.sinks.file import FileSink
from gateway.tracing.sinks.otlp import OtlpSink
from tests.gateway.tracing.otlp_receiver import Receiver, receiving
from tests.waiting import free_port

SPANS = [
    FinishedSpan(
        "POST /predict/{model}", SERVER, 0xA1, 0xB2, 0xC3, True, "a=b,c=d", 10**18, 10**18 + 5,
        [("http.response.status_code", 503), ("url.path", "/predict/\u00e4" + "x" * 100)],
        [Link(0xA2, 0xB4, "00000000000000b4")], True,
    ),
    FinishedSpan("a.Service/Predict", CLIENT, 0xA1, 2**64 - 1, 0xB2, False, "", 10**18 + 1, 10**18 + 2),
]  # fmt: skip


def sent_over_http(spans):
    receiver = Receiver()
    with receiving(receiver) as address:
        sink = OtlpSink(f"{address}/v1/traces")
        assert sink.write(spans) is None
        sink.close()
    return receiver


def read_file(path):
    """The spans of a file: OTLP in JSON is protobuf's JSON, but for ids, which are in hexadecimal digits."""
    spans = []
    for line in path.read_text().splitlines():
        document = json.loads(line)
        for of_resource in document["resourceSpans"]:
            for of_scope in of_resource["scopeSpans"]:
                for span in of_scope["spans"]:
                    ids = [span, *span.get("links", [])]
                    for holder in ids:
                        for name in ("traceId", "spanId", "parentSpanId"):
                            if name in holder:
                                holder[name] = json_format.base64.b64encode(bytes.fromhex(holder[name])).decode()
        parsed = json_format.ParseDict(document, TracesData())
        spans += [
            span for of_resource in parsed.resource_spans for of_scope in of_resource.scope_spans for span in of_scope.spans
        ]
    return spans


def test_a_receiver_gets_every_field_of_a_span():
    first, second = sent_over_http(SPANS).spans
    assert (first.trace_id, first.span_id, first.parent_span_id) == (
        *(number.to_bytes(size, "big") for number, size in ((0xA1, 16), (0xB2, 8), (0xC3, 8))),
    )
    assert (first.name, first.kind, first.trace_state) == ("POST /predict/{model}", Span.SPAN_KIND_SERVER, "a=b,c=d")
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (10**18, 10**18 + 5)
    assert [pair.key for pair in first.attributes] == ["http.response.status_code", "url.path"]
    assert first.attributes[0].value.int_value == 503
    assert first.attributes[1].value.string_value == "/predict/\u00e4" + "x" * 100
    assert (first.links[0].trace_id, first.links[0].span_id) == ((0xA2).to_bytes(16, "big"), (0xB4).to_bytes(8, "big"))
    assert first.status.code == 2
    assert (first.flags & 0x300, second.flags & 0x300) == (0x300, 0x100)
    assert second.span_id == b"\xff" * 8
    assert second.status.code == 0


def test_a_file_holds_the_same_spans_as_a_receiver_gets(tmp_path):
    path = tmp_path / "traces.jsonl"
    for _ in range(2):
        assert FileSink(path).write(SPANS) is None
    assert read_file(path) == [*sent_over_http(SPANS).spans, *sent_over_http(SPANS).spans]


def test_the_standard_variables_name_the_service_and_are_sent_with_the_spans(monkeypatch, tmp_path):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    receiver = sent_over_http(SPANS)
    assert receiver.services == {"mine"}
    assert receiver.headers["x-tenant"] == "one"
    assert len(receiver.spans) == 2
    FileSink(tmp_path / "file").write(SPANS)
    of_file = (tmp_path / "file").read_text()
    assert '"mine"' in of_file
    assert "deployment.environment.name" in of_file


def test_without_a_name_the_service_has_ours():
    assert sent_over_http(SPANS).services == {"serving-gateway"}


@pytest.mark.parametrize("status", [307, 400, 500])
def test_a_receiver_that_refuses_is_the_reason_why_spans_are_lost(status):
    receiver = Receiver()
    receiver.status = status
    with receiving(receiver) as address:
        assert OtlpSink(f"{address}/v1/traces").write(SPANS) == f"HTTP status {status}"


def test_a_receiver_that_is_away_is_the_reason_why_spans_are_lost(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    assert "Error" in OtlpSink(f"http://127.0.0.1:{free_port()}/v1/traces").write(SPANS)


def test_a_password_in_the_address_is_not_in_the_name_of_the_sink():
    assert OtlpSink("http://me:hidden@127.0.0.1:1/v1/traces?token=hidden").name == "127.0.0.1:1/v1/traces"


def test_a_file_that_is_made_is_for_its_owner_only(tmp_path):
    path = tmp_path / "traces.jsonl"
    FileSink(path).write(SPANS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_the_reason_why_spans_are_lost(tmp_path):
    assert "Is a directory" in FileSink(tmp_path).write(SPANS)


def test_a_part_of_a_line_on_a_full_disk_spoils_no_other_line(tmp_path):
    path = tmp_path / "traces.jsonl"
    sink = FileSink(path)
    assert sink.write(SPANS) is None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        assert sink.write(SPANS) == "the disk is full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sink.write(SPANS) is None
    first, part, last = path.read_text().splitlines()
    assert part == first[:10]
    assert json.loads(last) == json.loads(first)
