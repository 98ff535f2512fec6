"""What reaches the gateway of what a client sends, byte by byte: a recorder stands in the gateway's place."""

import json
import os

import pytest

from tests.edge.nginx import edge_before
from tests.edge.recorder import ANSWER
from tests.stack.conftest import Stack

SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "Connection": "close, X-Kept",
    "Upgrade": "h2c",
    "Keep-Alive": "timeout=5",
    "TE": "trailers",
}


def test_the_gateway_gets_the_clients_address_and_scheme_from_nginx_alone(recorded, recording_edge):
    recording_edge.get("/v2", headers=SPOOFED)
    fields = recorded.fields()
    assert {name: fields.get(name.lower()) for name in SPOOFED} == {
        **dict.fromkeys(SPOOFED),
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
    }


def test_two_spoofed_fields_of_one_name_are_replaced_by_one(recorded, recording_edge):
    sent = b"X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 203.0.113.8\r\nX-Request-Id: a\r\n"
    with recording_edge.wire() as wire:
        wire.play([b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + sent + b"\r\n"])
        wire.read_until(lambda answers: len(answers) == 1)
    assert recorded.fields()["x-forwarded-for"] == "127.0.0.1"


def test_all_else_goes_on_as_it_is(recorded, recording_edge):
    sent = {
        "Host": "predict.example:8443",
        "Authorization": "Bearer sgk_00000000_000000000000000000000000000000000000",
        "X-API-Key": "key",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
        "Inference-Header-Content-Length": "7",
        "Content-Encoding": "gzip",
        "Accept": "application/x-npy",
        "Origin": "https://app.example",
    }
    recording_edge.post("/v2/models/m/infer", b"anybody", headers=sent)
    fields = recorded.fields()
    assert {name: fields.get(name.lower()) for name in sent} == sent
    assert fields["content-length"] == "7"
    assert bytes(recorded.received[-1]).endswith(b"\r\n\r\nanybody")


def test_a_name_with_an_underscore_does_not_look_like_one_with_a_hyphen(recorded, recording_edge):
    recording_edge.get("/v2", headers={"X_Forwarded_For": "203.0.113.9", "X_API_Key": "key", "X.Forwarded.For": "203.0.113.9"})
    assert {name for name in recorded.fields() if "_" in name or "." in name} == set()


TARGETS = [
    "/v1/models/..%2f",
    "/v1/models/%2e%2e/x",
    "/v1//models/a//b",
    "//v1/models",
    "/v1/models/a%20b%3Fc%23d:predict",
    "/v1/models/../../predict",
    "/v2/models/m/infer?a=%00&b=../..",
    "/v1/models/%25%32%66",
    "/v1/models/a;b=c:predict",
    "/v1/models/\xe4",
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_goes_on_as_it_was_sent(recorded, recording_edge, target):
    with recording_edge.wire() as wire:
        wire.play([b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: a\r\n\r\n"])
        wire.read_until(lambda answers: len(answers) == 1)
    [head] = recorded.heads()
    assert head.split(b"\r\n")[0] == b"GET " + target.encode("latin-1") + b" HTTP/1.1"


@pytest.mark.parametrize("target", ["/..", "/../../etc/passwd", "/%2e%2e/x", "/v1/%", "/%00", "v1/models", "*"])
def test_a_target_that_is_none_or_leads_above_the_root_is_refused(recorded, recording_edge, target):
    with recording_edge.wire() as wire:
        wire.play([f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()])
        [answer] = wire.read_to_the_end()
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "BAD_INPUT")
    assert recorded.heads() == []


START = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = {
    "CL and TE": START + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "TE and CL": START + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": START + b"Content-Length: 0\r\nContent-Length: 43\r\n\r\n" + SECOND,
    "a list of lengths": START + b"Content-Length: 0, 43\r\n\r\n" + SECOND,
    "a signed length": START + b"Content-Length: +0\r\n\r\n" + SECOND,
    "two codings": START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SECOND,
    "an unknown coding": START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a coding with a tab": START + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a folded line": START + b"Content-Length: 0\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n" + SECOND,
    "a space before the colon": START + b"Content-Length : 43\r\n\r\n" + SECOND,
    "a coding in HTTP/1.0": START.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a bad size of a chunk": START + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" + SECOND,
    "a NUL in a field": START + b"X-A: \x00\r\nContent-Length: 0\r\n\r\n" + SECOND,
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_a_request_within_a_request_does_not_reach_the_gateway(recorded, recording_edge, case):
    with recording_edge.wire() as wire:
        wire.play([SMUGGLED[case]])
        answers = wire.read_until(lambda answers: any(answer.status >= 400 for answer in answers))
    assert [answer.status for answer in answers] in ([400], [501]), answers
    assert not any(b"smuggled" in bytes(data) for data in recorded.received)


@pytest.mark.parametrize("fold", [b"X-A: b\r\n c", b"X-A: b\r\n\tX-Forwarded-For: 203.0.113.9"])
def test_a_folded_line_is_refused(recorded, recording_edge, fold):
    with recording_edge.wire() as wire:
        wire.play([b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + fold + b"\r\n\r\n"])
        [answer] = wire.read_to_the_end()
    assert answer.status == 400
    assert recorded.heads() == []


FIRST = b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(("method", "status", "times"), [(b"POST", 502, 1), (b"GET", 200, 2)])
def test_what_finds_a_kept_connection_closed_is_sent_again_but_for_a_post(recorded, recording_edge, method, status, times):
    recorded.answer = lambda data: None if data.count(b" HTTP/1.1") > 1 else ANSWER
    with recording_edge.wire() as wire:
        wire.play([FIRST])
        wire.read_until(lambda answers: len(answers) == 1)
        # One worker of nginx has both requests, and sends the second on the connection that it has kept.
        wire.play(
            [FIRST.replace(b"GET", method).replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\nX-Request-Id: second\r\n\r\n")]
        )
        answers = wire.read_until(lambda answers: len(answers) == 2)
    assert [answer.status for answer in answers] == [200, status]
    assert [b"X-Request-Id: second" in head for head in recorded.heads()].count(True) == times
    assert recorded.received[0].count(b" HTTP/1.1") == 2


def test_connections_to_the_gateway_are_kept(recorded, recording_edge):
    for _ in range(10):
        assert recording_edge.post("/v2/models/m/infer", b"").status_code == 200
    assert len(recorded.heads()) == 10
    # One for each worker of nginx at most, as one client asks one at a time.
    assert len(recorded.received) <= (os.cpu_count() or 1)


def test_a_client_behind_nginx_has_limits_by_its_own_address_and_sees_https_addresses(edge_stack, tmp_path):
    settings = {"trusted_proxies": "127.0.0.1/32", "address_limits": "2/hour", "workers": 1}
    stack = Stack(tmp_path, edge_stack.models_dir, ("half_plus_two",), **settings)
    try:
        stack.start_before(edge_stack)
        with edge_before(stack.gateway_port) as edge:
            # 127.0.0.2 is no trusted proxy: it stands for a client from outside.
            statuses = [ask(edge, "127.0.0.2", f"203.0.113.{number}") for number in range(4)]
            other = ask(edge, "127.0.0.3", "127.0.0.2")
            page = edge.get("/", headers={"Accept": "application/json"}).json()
    finally:
        stack.stop()
    assert statuses == [200, 200, 429, 429]
    assert other == 200
    assert f"{edge.address}/" in page["example"]


def ask(edge, source, claimed):
    """The status of a prediction for a client at ``source`` that claims to ask for ``claimed``."""
    options = ["--interface", source, "--header", f"X-Forwarded-For: {claimed}", "--header", f"Forwarded: for={claimed}"]
    return edge.curl("/v1/models/half_plus_two:predict", *options, "--data", '{"instances": [1.0]}')[1]
