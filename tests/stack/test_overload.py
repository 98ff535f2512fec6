"""More requests than a worker may have in work are refused at once in their dialect; it recovers as soon as there is room."""

import signal
import threading
import time

import pytest
import requests

from tests.stack.conftest import Stack
from tests.waiting import wait_for

ROW = {"instances": [[0.5] * 10]}


@pytest.fixture(scope="module")
def crowded(exported, tmp_path_factory):
    running = Stack(
        tmp_path_factory.mktemp("crowded"), exported, ("dense",), workers=1, max_in_flight=2, predict_timeout_ms=20_000
    )
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


def test_refusals_are_told_in_the_log_but_not_each(full):
    for _ in range(20):
        full.post("/predict", ROW)
    told = wait_for(lambda: [event for event in full.log_events() if event["event"] == "requests.refused"])
    time.sleep(1.1)
    full.post("/predict", ROW)
    wait_for(lambda: len([event for event in full.log_events() if event["event"] == "requests.refused"]) > len(told))
    told = [event for event in full.log_events() if event["event"] == "requests.refused"]
    assert all(event["count"] >= 1 for event in told)
