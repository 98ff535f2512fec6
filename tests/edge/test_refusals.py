"""Errors that nginx answers itself have the form of their route, like the gateway's own."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gateway.api.errors import error_body
from gateway.errors import GatewayError
from tests.edge.nginx import edge_before
from tests.stack.held_gateway import held_gateway
from tests.waiting import wait_for

SHORT = ["/v1/models/m:predict", "/V1/models/m", "//v1/models/m", "/%761/models/m", "/v2", "/v2/models/m/infer", "/v2?x=1"]
LONG = ["/predict", "/predict/v1", "/", "/v1", "/v22/models", "/docs"]
OF_EACH_DIALECT = [SHORT[0], "/v2/models/m/infer", "/predict"]


def form(path, code, message):
    """The body of an error under ``path``."""
    if path in SHORT:
        return {"error": message}
    return {"ok": False, "status": "error", "error": code, "message": message, "details": []}


@pytest.fixture
def held_edge(tmp_path):
    """Makes a gateway before a model server of the tests' own, and nginx with the same settings before it."""

    @contextmanager
    def make(**settings):
        with (
            held_gateway(tmp_path, 1, **settings) as gateway,
            edge_before(gateway.port, **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()}) as edge,
        ):
            yield gateway, edge

    return make


@pytest.fixture(scope="module")
def away():
    """nginx before a port on which nobody listens."""
    with edge_before(9) as running:
        yield running


@pytest.mark.parametrize("path", SHORT + LONG)
def test_a_gateway_that_is_away_is_a_502_in_the_form_of_the_route(away, path):
    _, status, body = away.curl(path, "--path-as-is", "--data", "{}")
    message = "the gateway cannot be reached, or ended its connection before it had answered"
    assert (status, json.loads(body)) == (502, form(path, "PREDICT_FAILED", message))
    # The gateway tells the same routes apart.
    own = json.loads(error_body(GatewayError(message), path.partition("?")[0]))
    assert set(json.loads(body)) == set(own)


def test_a_502_says_when_to_try_again_and_has_an_id(away):
    answer = away.post("/predict", {}, headers={"X-Request-Id": "tried"})
    assert (answer.headers["Retry-After"], answer.headers["X-Request-Id"]) == ("1", "tried")
    assert answer.headers["Content-Type"] == "application/json"
    line = away.logged("tried")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 502)


@pytest.mark.parametrize("path", OF_EACH_DIALECT)
def test_a_body_over_the_limit_is_a_413_before_it_is_read(recorded, path):
    with edge_before(recorded.port, GATEWAY_MAX_BODY_BYTES=1000) as edge:
        answer = edge.post(path, b"x" * 1001)
        assert edge.post(path, b"x" * 1000).status_code == 200
    assert answer.status_code == 413
    assert answer.json() == form(path, "PAYLOAD_TOO_LARGE", "the body is over the limit of 1000 bytes")
    assert len(recorded.heads()) == 1


def test_a_body_in_chunks_that_grows_over_the_limit_is_refused(held_edge):
    with held_edge(max_body_bytes=1000) as (_, edge):
        for path in OF_EACH_DIALECT:
            answer = edge.post(path, iter([b"x" * 600, b"y" * 600]))
            assert answer.status_code == 413
            assert answer.json() == form(path, "PAYLOAD_TOO_LARGE", "the body is over the limit of 1000 bytes")


def test_a_gateway_that_does_not_answer_is_a_504(recorded):
    """All ask at the same time, because the time of each has to pass."""
    recorded.answer = lambda head: b""
    with (
        edge_before(recorded.port, GATEWAY_READ_TIMEOUT_MS=1000, GATEWAY_PREDICT_TIMEOUT_MS=1) as edge,
        ThreadPoolExecutor(len(OF_EACH_DIALECT)) as pool,
    ):
        answers = list(pool.map(lambda path: edge.post(path, {}), OF_EACH_DIALECT))
    for path, answer in zip(OF_EACH_DIALECT, answers, strict=True):
        assert (answer.status_code, answer.json()) == (504, form(path, "PREDICT_FAILED", "the gateway did not answer in time"))
    # Each was sent once.
    assert sorted(head.split()[1].decode() for head in recorded.heads()) == sorted(OF_EACH_DIALECT)


def test_a_gateway_that_stops_in_the_middle_of_its_answer_is_no_whole_answer(recorded, recording_edge):
    recorded.answer = lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    recorded.hangs_up = True
    with recording_edge.wire() as wire:
        wire.play([b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"])
        assert wire.read_to_the_end() == []
    assert len(recorded.heads()) == 1


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        (b"GET /predict?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a", (414, "URI_TOO_LONG", "at most 8192 bytes, got more")),
        (
            b"GET /predict HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 20_000,
            (431, "HEADER_FIELDS_TOO_LARGE", "lines of at most 16384"),
        ),
        (b"GET /predict HTTP/1.1", (400, "BAD_INPUT", "the request is malformed")),
        (b"GET /predict HTTP/1.1\r\nHost: a\r\nHost: b", (400, "BAD_INPUT", "the request is malformed")),
        (b"nonsense", (400, "BAD_INPUT", "the request is malformed")),
        (b"GET /%00 HTTP/1.1\r\nHost: a", (400, "BAD_INPUT", "the request is malformed")),
        (b"TRACE /predict HTTP/1.1\r\nHost: a", (405, "METHOD_NOT_ALLOWED", "does not take this method")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip", (501, "PREDICT_FAILED", "no transfer coding but chunked")),
        (b"GET / HTTP/3.0\r\nHost: a", (505, "PREDICT_FAILED", "expected HTTP/1.1 or HTTP/2")),
    ],
    ids=["long target", "long field", "no host", "two hosts", "no request", "NUL", "TRACE", "coding", "version"],
)
def test_a_request_that_nginx_cannot_take_is_refused_in_json(recorded, recording_edge, lines, refusal):
    status, code, message = refusal
    with recording_edge.wire() as wire:
        wire.play([lines + b"\r\n\r\n"])
        [answer] = wire.read_to_the_end()
    document = json.loads(answer.body)
    assert (answer.status, document["error"]) == (status, code)
    assert message in document["message"]
    assert answer.header(b"x-request-id")
    assert recorded.heads() == []


def test_a_target_that_the_gateway_refuses_has_the_gateways_words(edge, edge_stack):
    path = "/v1/models?" + "x" * 9000
    through, direct = edge.get(path), edge_stack.get(path)
    assert (through.status_code, through.json()) == (direct.status_code, direct.json())
    assert through.status_code == 414


def test_a_body_that_does_not_come_is_cut_off_and_never_reaches_the_gateway(recorded):
    with edge_before(recorded.port, GATEWAY_READ_TIMEOUT_MS=500) as edge:
        with edge.wire() as wire:
            wire.play([b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Request-Id: late\r\nContent-Length: 9\r\n\r\n{"])
            assert wire.read_to_the_end() == []
            assert wire.is_closed
        assert edge.logged("late")["status"] == 408
    assert recorded.received == []


def test_a_connection_goes_on_after_a_502_in_its_step(away):
    with away.wire() as wire:
        for count in range(1, 5):
            body = b"x" * 100_000
            wire.play([b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body])
            answers = wire.read_until(lambda answers, count=count: len(answers) == count)
            assert [answer.status for answer in answers] == [502] * count


def test_a_body_that_finds_no_room_is_a_503(recorded, recording_edge):
    (recording_edge.folder / "run" / "nginx-bodies").rmdir()
    (recording_edge.folder / "run" / "nginx-bodies").write_text("no folder")
    answer = recording_edge.post("/v1/models/m:predict", b"x" * 3_000_000)
    assert (answer.status_code, answer.json()) == (503, {"error": "there is no room for the body now"})
    assert answer.headers["Retry-After"] == "1"
    assert recording_edge.post("/v1/models/m:predict", b"x" * 1_000_000).status_code == 200


def test_more_requests_of_one_address_than_it_may_have_at_a_time_are_429(recorded):
    with edge_before(recorded.port, requests_per_address=2) as edge, edge.wire() as first, edge.wire() as second:
        for wire in (first, second):
            wire.play([b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"])
        wait_for(lambda: edge.get("/v1/models").status_code == 429)
        answer = edge.get("/v1/models")
        assert answer.json() == {"error": "more than 2 requests of your address are in work here"}
        assert answer.headers["Retry-After"] == "1"
        assert edge.curl("/v1/models", "--interface", "127.0.0.2")[1] == 200
