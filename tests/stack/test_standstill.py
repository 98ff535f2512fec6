"""While the model stands still, however many wait for it: each is told at its deadline, and `/metrics` is answered."""

import gzip
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.stack.conftest import Stack
from tests.waiting import wait_for

PATH = "/v1/models/dense:predict"
BODY = json.dumps({"instances": [[0.5] * 10]}).encode()
GZIP = {"Content-Encoding": "gzip"}
CLIENTS = 40
TIMEOUT_S = 1.0
# If they waited one after another, even four at a time, they would take twice as long.
MOST_S = TIMEOUT_S * CLIENTS / 4 / 2

SENT = {"plain": (BODY, {}), "gzip": (gzip.compress(BODY), GZIP)}


@pytest.fixture(scope="module")
def narrow(exported, tmp_path_factory):
    """One worker, and many clients to come."""
    running = Stack(
        tmp_path_factory.mktemp("narrow"),
        exported,
        ("dense",),
        workers=1,
        predict_timeout_ms=int(TIMEOUT_S * 1000),
    )
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def still(narrow):
    wait_for(lambda: narrow.post(PATH, json.loads(BODY)).status_code == 200)
    narrow.server.process.send_signal(signal.SIGSTOP)
    yield narrow
    narrow.server.process.send_signal(signal.SIGCONT)
    wait_for(lambda: narrow.post(PATH, json.loads(BODY)).status_code == 200)


@pytest.mark.parametrize("sent", SENT)
def test_a_request_waits_no_longer_than_its_deadline_however_many_wait_with_it(still, sent):
    body, headers = SENT[sent]

    def ask(_: int) -> int:
        return requests.post(still.address + PATH, data=body, headers=headers, timeout=MOST_S).status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, number) for number in range(CLIENTS)]
        time.sleep(TIMEOUT_S / 2)
        assert requests.get(still.address + "/metrics", timeout=MOST_S).status_code == 200
        assert {one.result() for one in asked} <= {503, 504}
