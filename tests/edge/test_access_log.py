"""What nginx writes: one JSON line for each request, and no secret."""

import json
import re

import pytest

from tests.edge.nginx import edge_before
from tests.waiting import wait_for

KEY = "sgk_Ab3dEf9h_0123456789abcdefghijABCDEFGHIJ012345"
FIELDS = {
    "event": "edge.request",
    "client": "127.0.0.1",
    "protocol": "HTTP/1.1",
    "method": "POST",
    "path": "/v1/models/m:predict",
    "status": 200,
    "gateway_status": 200,
    "trace_id": "",
}


def test_a_line_has_the_request_its_answer_and_its_times(recording_edge, recorded):
    recording_edge.post("/v1/models/m:predict?a=b", {}, headers={"X-Request-Id": "told"})
    line = recording_edge.logged("told")
    assert {name: line[name] for name in FIELDS} == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", line["time"])
    assert re.fullmatch(r"TLSv1\.[23]", line["tls"])
    assert line["gateway"] == f"127.0.0.1:{recorded.port}"
    assert min(line["received_bytes"], line["sent_bytes"]) > 0
    # nginx takes each of the two times from its own start in whole milliseconds.
    assert 0 <= line["gateway_s"] < line["total_s"] + 0.0015


def test_no_key_and_no_query_is_written_anywhere(recorded):
    with edge_before(recorded.port) as edge:
        headers = {"Authorization": f"Bearer {KEY}", "X-API-Key": KEY, "User-Agent": KEY, "Referer": KEY, "Cookie": KEY}
        for answer in (
            lambda data: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            lambda data: None,
            lambda data: b"HTTP/1.1 200 OK\r\nBad\x00: a\r\n\r\n",
        ):
            recorded.answer = answer
            edge.get(f"/v1/models?key={KEY}", headers=headers)
            edge.get(f"/predict/{KEY}", headers=headers | {"X-Request-Id": KEY, "traceparent": KEY})
        with edge.wire() as wire:
            wire.play([f"GET /{KEY} HTTP/9.9\r\nHost: {KEY}\r\n{KEY}: {KEY}\r\n\r\n".encode()])
            wire.read_to_the_end()
        edge.stop()
        written = "".join(path.read_text() for path in (edge.folder / "run" / "access.log", edge.folder / "errors.log"))
        lines = edge.requests_logged()
    assert KEY[:12] not in written
    assert "key=" not in written
    assert [line["path"] for line in lines[:6]] == ["/v1/models", "/predict/"] * 3
    assert [line["status"] for line in lines[:6]] == [200, 200, 502, 502, 502, 502]


@pytest.mark.parametrize("prefix", ["%73gk_", "s%67k%5F", "sg%6b%5f"])
def test_a_key_with_percent_escapes_is_not_written(recording_edge, prefix):
    with recording_edge.wire() as wire:
        wire.play([f"GET /v1/{prefix}{KEY[4:]} HTTP/1.1\r\nHost: a\r\nX-Request-Id: odd\r\n\r\n".encode()])
        wire.read_until(lambda answers: len(answers) == 1)
    assert recording_edge.logged("odd")["path"] == "/v1/"


def test_a_request_that_ended_before_it_had_a_status_leaves_the_line_json(recording_edge):
    context = recording_edge.context()
    context.set_alpn_protocols(["h2"])
    fields = {":method": "GET", ":scheme": "https", ":authority": "a", ":path": "/v1/models", "x-request-id": "half"}
    block = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields.items()
    )
    with recording_edge.wire(context) as wire:
        # The settings, and a head without its end.
        wire.play([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, b""), frame(1, 1, block)])
        wire.sock.recv(1000)
    line = wait_for(lambda: next((line for line in recording_edge.requests_logged() if line["protocol"] == "HTTP/2.0"), None))
    assert (line["status"], line["gateway_status"]) == (0, None)


def frame(kind, stream, content):
    """A frame of HTTP/2 (RFC 9113) without flags."""
    return len(content).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + content


def test_bytes_that_are_no_text_leave_the_lines_json(recording_edge):
    for target in (b"/v1/models/\xff\xfe", b'/"quoted"\\', b"/a%0ab"):
        with recording_edge.wire() as wire:
            wire.play([b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nX-Request-Id: odd\r\n\r\n"])
            wire.read_until(lambda answers: len(answers) == 1)
    recording_edge.stop()
    lines = (recording_edge.folder / "run" / "access.log").read_bytes().splitlines()
    assert [json.loads(line.decode("ascii"))["path"] for line in lines] == ["/v1/models/", '/"quoted"\\', "/a%0ab"]


def test_probes_are_logged_only_when_they_fail(recorded, recording_edge):
    assert recording_edge.get("/readyz").status_code == 200
    recorded.answer = lambda head: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    assert recording_edge.get("/readyz", headers={"X-Request-Id": "failed"}).status_code == 503
    assert recording_edge.logged("failed")["path"] == "/readyz"
    assert [line["status"] for line in recording_edge.requests_logged()] == [503]
