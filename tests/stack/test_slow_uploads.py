"""The deadline of a prediction begins when its request is complete: an upload may take as long as the read timeout allows."""

import gzip
import http.client
import json
import time

import pytest

from tests.stack.conftest import Stack

PATH = "/v1/models/half_plus_two:predict"
PREDICT_TIMEOUT_S = 0.4
UPLOAD_S = 1.2
PIECES = 4


@pytest.fixture(scope="module")
def impatient(exported, stack, tmp_path_factory):
    """A gateway whose deadline is much shorter than its read timeout."""
    folder, timeout_ms = tmp_path_factory.mktemp("uploads"), round(PREDICT_TIMEOUT_S * 1000)
    running = Stack(folder, exported, ("half_plus_two",), predict_timeout_ms=timeout_ms, read_timeout_ms=20_000, workers=1)
    try:
        yield running.start_before(stack)
    finally:
        running.stop()


def body(size: int) -> bytes:
    return json.dumps({"instances": [1.0, 2.0, 5.0]}).encode().ljust(size)


KINDS = {
    "small": ({}, body(100)),
    "over 64 KiB": ({}, body(100_000)),
    "over 1 MiB": ({}, body(2 << 20)),
    "gzip": ({"Content-Encoding": "gzip"}, gzip.compress(body(2 << 20), 0)),
    "chunked": ({"Transfer-Encoding": "chunked"}, body(100)),
    "chunked, over 1 MiB": ({"Transfer-Encoding": "chunked"}, body(2 << 20)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_that_takes_longer_than_the_deadline_is_answered(impatient, kind):
    headers, data = KINDS[kind]
    connection = http.client.HTTPConnection("127.0.0.1", impatient.gateway_port, timeout=30)
    connection.putrequest("POST", PATH)
    is_chunked = "Transfer-Encoding" in headers
    for name, value in (headers if is_chunked else headers | {"Content-Length": str(len(data))}).items():
        connection.putheader(name, value)
    connection.endheaders()
    step = -(-len(data) // PIECES)
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        time.sleep(UPLOAD_S / PIECES)  # the upload takes this long: it is what is tested
    if is_chunked:
        connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [2.5, 3.0, 4.5]})
    connection.close()
