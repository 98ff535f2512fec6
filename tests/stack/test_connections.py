"""What happens on the wire, between a client's socket and the application."""

import json
import socket
import threading
import time

import pytest
import requests

from tests.stack.conftest import Stack
from tests.waiting import wait_for

PATH = "/v1/models/half_plus_two:predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
GOOD = '{"instances": [1.0, 2.0, 5.0]}'
LIMIT = 2000


@pytest.fixture(scope="module")
def own_stack(exported, stack, tmp_path_factory):
    running = Stack(
        tmp_path_factory.mktemp("wire"),
        exported,
        ("half_plus_two",),
        max_body_bytes=LIMIT,
        read_timeout_ms=1000,
        workers=1,
    )
    try:
        yield running.start_before(stack)
    finally:
        running.stop()


def connect(stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.gateway_port), timeout=20)


def exchange(stack, sent: bytes | str) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and read until the server closes or the announced body is there."""
    with connect(stack) as sock:
        sock.sendall(sent.encode() if isinstance(sent, str) else sent)
        return receive(sock)


def receive(sock) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return int(first.split()[1]), headers, body


def chunked(*chunks: str) -> str:
    body = "".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks)
    return f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n"


def test_a_chunked_body_is_read_whole(own_stack):
    status, _, body = exchange(own_stack, chunked(GOOD[:7], GOOD[7:]))
    assert (status, json.loads(body)) == (200, {"predictions": [2.5, 3.0, 4.5]})


@pytest.mark.parametrize("filler", [" " * LIMIT, "x" * LIMIT], ids=["blanks behind the document", "rubbish"])
def test_a_chunked_body_over_the_limit_is_413_and_never_cut(own_stack, filler):
    status, _, body = exchange(own_stack, chunked(GOOD, filler))
    assert status == 413
    assert f"{LIMIT} bytes" in json.loads(body)["error"]


@pytest.mark.parametrize("path", [PATH, "/predict/half_plus_two", "/v2/models/half_plus_two/infer"])
def test_a_body_over_the_limit_is_413_in_every_dialect(own_stack, path):
    response = own_stack.post(path, " " * (LIMIT + 1))
    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("chunks", ["ZZZ\r\nabc\r\n0\r\n\r\n", "-1\r\nabc\r\n0\r\n\r\n", "3\r\nabcdef\r\n0\r\n\r\n"])
def test_malformed_chunks_are_400_and_one_line_in_the_log(own_stack, chunks):
    status, _, body = exchange(own_stack, f"{HEAD}Transfer-Encoding: chunked\r\nX-Request-Id: chunk\r\n\r\n{chunks}")
    assert status == 400
    assert "the body cannot be read" in json.loads(body)["error"]
    events = wait_for(lambda: [event for event in own_stack.log_events() if event.get("id") == "chunk"])
    assert {event["event"] for event in events} == {"request"}


def test_a_body_that_ends_too_early_is_400(own_stack):
    with connect(own_stack) as sock:
        sock.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{GOOD}".encode())
        sock.shutdown(socket.SHUT_WR)
        status, _, body = receive(sock)
    assert status == 400
    assert f"ended after {len(GOOD)} of the 100 bytes" in json.loads(body)["error"]


def test_slow_bodies_end_with_408_and_do_not_take_the_gateway_down(own_stack):
    """Each sends a byte now and then."""
    slow = [connect(own_stack) for _ in range(8)]
    stop = threading.Event()

    def drip():
        while not stop.wait(0.2):
            for sock in slow:
                try:
                    sock.sendall(b" ")
                except OSError:
                    continue

    for sock in slow:
        sock.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n{{".encode())
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        assert receive(slow[0])[0] == 408
        assert own_stack.get("/healthz").status_code == 200
    finally:
        stop.set()
        dripping.join()
        for sock in slow:
            sock.close()


def test_clients_that_do_not_read_their_answers_do_not_take_the_gateway_down(own_stack):
    """Each asks for more than the buffers on its way hold."""
    deaf = []
    for _ in range(8):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", own_stack.gateway_port))
        sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60)
        deaf.append(sock)
    try:
        time.sleep(0.5)
        for _ in range(4):
            assert own_stack.get("/healthz").status_code == 200
    finally:
        for sock in deaf:
            sock.close()


def test_connections_that_send_nothing_hold_nobody_up(own_stack):
    idle = [connect(own_stack) for _ in range(50)]
    try:
        for _ in range(8):
            assert own_stack.get("/healthz").status_code == 200
    finally:
        for sock in idle:
            sock.close()


def test_a_connection_that_sends_nothing_is_closed(own_stack):
    with connect(own_stack) as sock:
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{HEAD}Content-Length: x\r\n\r\n".encode(),
        f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        f"GET /{'a' * 5000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"{HEAD}X-Long: {'a' * 9000}\r\n\r\n".encode(),
        f"{HEAD}Expect: foo\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
    ],
    ids=["binary", "no version", "small letters", "bad length", "length and chunks", "long path", "long header", "expect"],
)
def test_what_is_no_http_request_is_refused_in_json_without_quoting_it(own_stack, sent):
    status, headers, body = exchange(own_stack, sent)
    assert 400 <= status < 500
    assert headers["content-type"] == "application/json"
    document = json.loads(body)
    of_the_route = {"error"} if HEAD.encode() in sent else {"ok", "status", "error", "message", "details"}
    assert set(document) == of_the_route
    assert b"\\x" not in body


@pytest.mark.parametrize(
    "header", ["SCRIPT_NAME: /foo", "SCRIPT_NAME: /v1", "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"]
)
def test_no_header_of_a_client_decides_on_the_route(own_stack, header):
    status, _, body = exchange(own_stack, f"{HEAD}{header}\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD}")
    assert (status, json.loads(body)) == (200, {"predictions": [2.5, 3.0, 4.5]})


def test_two_slashes_at_the_front_are_part_of_the_path(own_stack):
    status, _, body = exchange(own_stack, "GET //v1/models/half_plus_two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status == 400
    assert json.loads(body)["error"].startswith("Malformed request: GET //v1/models/half_plus_two\n")


def test_while_draining_every_answer_lets_go_of_its_connection(make_gateway):
    stack = make_gateway(drain_delay_ms=1500, workers=1)
    session = requests.Session()
    url = f"{stack.address}{PATH}"
    assert session.post(url, data=GOOD, timeout=10).headers["Connection"] == "keep-alive"
    stack.gateway.process.terminate()
    wait_for(lambda: stack.get("/readyz").status_code == 503, timeout_s=5)
    assert session.post(url, data=GOOD, timeout=10).headers["Connection"] == "close"
    assert stack.gateway.process.wait(30) == 0


def test_an_idle_connection_does_not_hold_the_end_up(make_gateway):
    stack = make_gateway(workers=1, graceful_timeout_s=60)
    with connect(stack):
        time.sleep(0.2)
        stack.gateway.process.terminate()
        assert stack.gateway.process.wait(30) == 0
