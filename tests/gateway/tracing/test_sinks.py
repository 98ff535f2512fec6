"""Spans as an OTLP receiver and a file get them: the same, in two forms."""

import json
import resource
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from gateway.tracing.finished import CLIENT, SERVER, FinishedSpan, Link
from gateway.tracing.receiver import read_receiver
from gateway.tracing.sinks.file import FileSink
from gateway.tracing.sinks.otlp import OtlpSink
from tests.authority import authority
from tests.gateway.tracing.otlp_receiver import Receiver, receiving
from tests.waiting import free_port

SPANS = [
    FinishedSpan(
        "POST /predict/{model}", SERVER, 0xA1, 0xB2, 0xC3, True, "a=b,c=d", 10**18, 10**18 + 5,
        (("http.response.status_code", 503),), [("url.path", "/predict/\u00e4" + "x" * 100)],
        [Link(0xA2, 0xB4, "00000000000000b4")], True,
    ),
    FinishedSpan("a.Service/Predict", CLIENT, 0xA1, 2**64 - 1, 0xB2, False, "", 10**18 + 1, 10**18 + 2),
]  # fmt: skip


def sink_to(address, **variables):
    """The sink for a receiver at ``address``, as ``variables``, such as TIMEOUT, say."""
    given = {"ENDPOINT": address} | variables
    return OtlpSink(read_receiver({f"OTEL_EXPORTER_OTLP_{name}": str(value) for name, value in given.items()}))


def write(sink, spans):
    return sink.write([sink.encode(span) for span in spans])


def sent_over_http(spans, **variables):
    receiver = Receiver()
    with receiving(receiver) as address:
        sink = sink_to(address, **variables)
        assert write(sink, spans) is None
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
        assert write(FileSink(path), SPANS) is None
    assert read_file(path) == [*sent_over_http(SPANS).spans, *sent_over_http(SPANS).spans]


def test_the_standard_variables_name_the_service_and_are_sent_with_the_spans(monkeypatch, tmp_path):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    receiver = sent_over_http(SPANS, HEADERS="x-tenant=one", COMPRESSION="gzip")
    assert receiver.services == {"mine"}
    sent = receiver.headers
    assert (sent["x-tenant"], sent["content-type"], sent["content-encoding"]) == ("one", "application/x-protobuf", "gzip")
    assert len(receiver.spans) == 2
    write(FileSink(tmp_path / "file"), SPANS)
    of_file = (tmp_path / "file").read_text()
    assert '"mine"' in of_file
    assert "deployment.environment.name" in of_file


def test_without_a_name_the_service_has_ours():
    assert sent_over_http(SPANS).services == {"serving-gateway"}


@pytest.mark.parametrize("status", [307, 400, 500])
def test_a_receiver_that_refuses_is_the_reason_why_spans_are_lost(status):
    receiver = Receiver()
    receiver.status, receiver.answer_headers = status, {"Location": "/v1/traces"}
    with receiving(receiver) as address:
        assert write(sink_to(address), SPANS) == f"HTTP status {status}"
    assert receiver.requests == 1


def test_a_receiver_that_is_busy_is_asked_again():
    receiver = Receiver(429, 502, 503, 504)
    receiver.answer_headers = {"Retry-After": "1"}
    with receiving(receiver) as address, ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write, sink_to(address, TIMEOUT=9000), SPANS) for _ in range(4)]
        assert [one.result() for one in written] == [None] * 4
    assert (receiver.requests, len(receiver.spans)) == (8, 4 * len(SPANS))


@pytest.mark.parametrize(
    ("retry_after", "timeout_ms"), [("3600", 10_000), ("Fri, 31 Dec 2100 23:59:59 GMT", 10_000), ("soon", 500), ("0", 500)]
)
def test_a_receiver_that_stays_busy_for_longer_than_the_time_out_is_not_waited_for(retry_after, timeout_ms):
    receiver = Receiver()
    receiver.status, receiver.answer_headers = 503, {"Retry-After": retry_after}
    with receiving(receiver) as address:
        assert write(sink_to(address, TIMEOUT=timeout_ms), SPANS) == "HTTP status 503"
    assert receiver.requests == 1


def test_a_receiver_that_comes_back_gets_the_spans():
    receiver, port = Receiver(), free_port()
    sink = sink_to(f"http://127.0.0.1:{port}", TIMEOUT=10_000)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write, sink, SPANS)
        with receiving(receiver, port=port):
            assert written.result() is None
    assert len(receiver.spans) == 2


def test_a_receiver_that_is_away_is_the_reason_why_spans_are_lost():
    assert write(sink_to(f"http://127.0.0.1:{free_port()}", TIMEOUT=200), SPANS) == "ConnectionError"


def test_a_receiver_that_hangs_is_given_up_at_the_time_out():
    receiver = Receiver()
    receiver.release.clear()
    with receiving(receiver) as address:
        assert write(sink_to(address, TIMEOUT=200), SPANS) == "ReadTimeout"


def test_the_receiver_and_the_gateway_may_know_each_other_by_certificates(tmp_path, monkeypatch):
    ours, other = authority(tmp_path, "ours"), authority(tmp_path, "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.certificate))  # of others' HTTP
    server, client = ours.signed("receiver", "IP:127.0.0.1"), ours.signed("gateway")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.certificate)
    tls.load_cert_chain(*server)
    tls.verify_mode = ssl.CERT_REQUIRED
    known = {"CLIENT_CERTIFICATE": client.certificate, "CLIENT_KEY": client.key}
    receiver = Receiver()
    with receiving(receiver, tls) as address:
        assert write(sink_to(address, CERTIFICATE=ours.certificate, **known), SPANS) is None
        assert write(sink_to(address, CERTIFICATE=other.certificate, TIMEOUT=500, **known), SPANS) == "SSLError"
        assert "Error" in write(sink_to(address, CERTIFICATE=ours.certificate, TIMEOUT=500), SPANS)
    assert len(receiver.spans) == 2


def test_a_password_in_the_address_is_sent_and_is_not_in_the_name_of_the_sink():
    receiver = Receiver()
    with receiving(receiver) as address:
        host = address.removeprefix("http://")
        sink = sink_to(f"http://me:hidden@{host}")
        assert write(sink, SPANS) is None
    assert sink.name == f"{host}/v1/traces"
    assert receiver.headers["authorization"] == "Basic bWU6aGlkZGVu"


def test_a_token_in_the_address_is_not_in_the_name_of_the_sink():
    sink = sink_to("", TRACES_ENDPOINT="http://127.0.0.1:1/v1/traces?token=hidden")
    assert sink.name == "http://127.0.0.1:1/v1/traces"


def test_a_file_that_is_made_is_for_its_owner_only(tmp_path):
    path = tmp_path / "traces.jsonl"
    write(FileSink(path), SPANS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_the_reason_why_spans_are_lost(tmp_path):
    assert "Is a directory" in write(FileSink(tmp_path), SPANS)


def test_a_part_of_a_line_on_a_full_disk_spoils_no_other_line(tmp_path):
    path = tmp_path / "traces.jsonl"
    sink = FileSink(path)
    assert write(sink, SPANS) is None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        assert write(sink, SPANS) == "the disk is full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert write(sink, SPANS) is None
    first, part, last = path.read_text().splitlines()
    assert part == first[:10]
    assert json.loads(last) == json.loads(first)
