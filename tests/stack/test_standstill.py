"""While the model stands still, however many wait for it: each is told at its deadline, and who watches is answered."""

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
THREADS = 4
CLIENTS = 40
TIMEOUT_S = 1.0
# One after another, in turns of THREADS, they would take twice as long.
PATIENCE_S = TIMEOUT_S * CLIENTS / THREADS / 2

SENT = {"plain": (BODY, {}), "gzip": (gzip.compress(BODY), GZIP)}


@pytest.fixture(scope="module", params=["loop", "thread"])
def narrow(request, exported, tmp_path_factory):
    """Few threads, and ten times as many clients to come."""
    running = Stack(
        tmp_path_factory.mktemp("narrow"),
        exported,
        ("dense",),
        worker=request.param,
        workers=1,
        threads=THREADS,
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
def test_who_waits_for_a_thread_waits_no_longer_than_for_the_model(still, sent):
    body, headers = SENT[sent]

    def ask(_: int) -> int:
        return requests.post(still.address + PATH, data=body, headers=headers, timeout=PATIENCE_S).status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, number) for number in range(CLIENTS)]
        time.sleep(TIMEOUT_S / 2)
        assert requests.get(still.address + "/metrics", timeout=PATIENCE_S).status_code == 200
        assert {one.result() for one in asked} <= {503, 504}
