"""More requests than a worker may have in work are refused at once in their dialect; it recovers as soon as there is room."""

import json
import re
import signal
import socket
import threading
import time

import pytest
import requests

from tests.stack.conftest import Stack
from tests.waiting import wait_for

ROW = {"instances": [[0.5] * 10]}


@pytest.fixture(scope="module")
def crowded(exported, tmp_path_factory):
    settings = {"workers": 1, "max_in_flight": 2, "predict_timeout_ms": 20_000}
    running = Stack(tmp_path_factory.mktemp("crowded"), exported, ("dense",), **settings)
    try:
        yield running.start()
    finally:
        running.stop()


def refusals(stack: Stack) -> float:
    line = next(line for line in stack.get("/metrics").text.splitlines() if line.startswith("gateway_refusals_total "))
    return float(line.split()[1])


@pytest.fixture
def full(crowded):
    """The model server stands still with two requests before it; they are answered when it goes on."""
    crowded.server.process.send_signal(signal.SIGSTOP)
    statuses: list[int] = []

    def ask() -> None:
        status = 503
        while status == 503:  # as long as the question below is in its place
            status = crowded.post("/v1/models/dense:predict", ROW).status_code
        statuses.append(status)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        wait_for(lambda: crowded.post("/predict", {"features": "?"}).status_code == 503)
        yield crowded
    finally:
        crowded.server.process.send_signal(signal.SIGCONT)
        for asker in askers:
            asker.join()
    assert statuses == [200, 200]
    wait_for(lambda: crowded.post("/v1/models/dense:predict", ROW).status_code == 200)


def test_one_too_many_is_refused_at_once_in_its_dialect(full):
    before = refusals(full)
    text = "too many requests are in work here"
    answers = {path: full.post(path, ROW) for path in ("/v1/models/dense:predict", "/v2/models/dense/infer", "/predict")}
    for answer in answers.values():
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Content-Type"] == "application/json"
        assert len(answer.headers["X-Request-Id"]) == 32
    assert answers["/v1/models/dense:predict"].json() == {"error": text}
    assert answers["/v2/models/dense/infer"].json() == {"error": text}
    assert answers["/predict"].json() == {
        "ok": False,
        "status": "error",
        "error": "PREDICT_FAILED",
        "message": text,
        "details": [],
    }
    assert refusals(full) == before + 3


def test_who_watches_is_answered_all_the_same(full):
    assert full.get("/healthz").status_code == 200
    assert full.get("/v1/models").status_code == 200


def test_a_refused_client_keeps_its_connection(full):
    with requests.Session() as session:
        for _ in range(3):
            answer = session.post(full.address + "/predict", json={"features": [0.5] * 10}, timeout=10)
            assert (answer.status_code, answer.headers["Connection"]) == (503, "keep-alive")


def test_a_refused_client_that_wants_its_connection_closed_has_it_closed(full):
    answer = full.post("/predict", ROW, headers={"Connection": "close"})
    assert (answer.status_code, answer.headers["Connection"]) == (503, "close")


def test_a_refused_client_of_which_nothing_was_read_is_told_that_its_connection_is_closed(full):
    """And is not in the way of others while it keeps its own direction open."""
    host, port = full.address.removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX-Request-Id: mine-2\r\n\r\n"
    clients = [socket.create_connection((host, int(port)), timeout=10) for _ in range(3)]
    try:
        for client in clients:
            client.sendall(head)
        answered = clients[-1].recv(65536)
        assert answered.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Connection: close\r\n" in answered
        assert b"X-Request-Id: mine-2\r\n" in answered
        assert clients[-1].recv(1) == b""
        began_s = time.monotonic()
        assert full.get("/healthz").status_code == 200
        assert time.monotonic() - began_s < 1
    finally:
        for client in clients:
            client.close()


def test_refusals_are_told_in_the_log_all_of_them_but_not_each(full):
    def told() -> list[int]:
        return [event["count"] for event in full.log_events() if event["event"] == "requests.refused"]

    wait_for(lambda: sum(told()) == refusals(full))
    settings = [event.get("setting") for event in full.log_events() if event["event"] == "requests.refused"]
    assert set(settings) == {"GATEWAY_MAX_IN_FLIGHT"}
    for _ in range(2):
        before, lines = refusals(full), len(told())
        for _ in range(20):
            full.post("/predict", ROW)
        wait_for(lambda before=before: sum(told()) == before + 20 == refusals(full))
        assert len(told()) - lines <= 4


def test_refusals_of_a_pipeline_keep_their_place(full):
    body = json.dumps(ROW).encode()
    post = b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    probe = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
    last = probe.replace(b"Host", b"Connection: close\r\nHost")
    host, port = full.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for _ in range(20):
            client.sendall(post + probe + post)
            client.sendall(probe)
        client.sendall(last)
        answered = b"".join(iter(lambda: client.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"503", b"200", b"503", b"200"] * 20 + [b"200"]


def test_a_refused_client_gets_its_own_id_back(full):
    assert full.post("/predict", ROW, headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    for odd in ("x" * 200, "a b"):
        made = full.post("/predict", ROW, headers={"X-Request-Id": odd}).headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{32}", made)
