"""A request is freed when it is answered: whoever sends large bodies that are refused does not fill the memory with them."""

import gc
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO

import grpc
import pytest
from werkzeug.test import create_environ

from gateway.call import Call

GOOD = b'{"instances":[[1,2],[3,4]]}'
INFER = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
PREDICT = "/v1/models/m:predict"
ASKED = 5
ROUNDS = 4

REQUESTS = {
    "answered": (200, PREDICT, GOOD),
    "no JSON": (400, PREDICT, GOOD[:-1]),
    "ragged": (400, PREDICT, b'{"instances":[[1,2],[3]]}'),
    "another type": (400, PREDICT, b'{"instances":[["a",2],[3,4]]}'),
    "columns, ragged": (400, PREDICT, b'{"inputs":{"x":[[1,2],[3]]}}'),
    "no such input": (400, PREDICT, b'{"inputs":{"z":[[1,2]]}}'),
    "no object": (400, PREDICT, b"[]"),
    "no such model": (404, "/v1/models/nope:predict", GOOD),
    "no such version": (404, "/v1/models/m/versions/9:predict", GOOD),
    "no such signature": (400, PREDICT, b'{"signature_name":"q",' + GOOD[1:]),
    "the backend refuses": (400, PREDICT, GOOD),
    "the backend refuses examples": (400, "/v1/models/m:classify", b'{"examples":[{"x":1}]}'),
    "examples": (200, "/v1/models/m:classify", b'{"examples":[{"x":1}]}'),
    "bad examples": (400, "/v1/models/m:classify", b'{"examples":[{"x":{}}]}'),
    "v2": (200, "/v2/models/m/infer", INFER),
    "v2, too few numbers": (400, "/v2/models/m/infer", INFER.replace(b"[1,2]}", b"[1]}")),
    "v2, no object": (400, "/v2/models/m/infer", b"[]"),
    "v2, another type": (400, "/v2/models/m/infer", INFER.replace(b"FP32", b"BOOL")),
    "simple": (200, "/predict", b'{"x":[1,2]}'),
    "simple, no numbers": (400, "/predict", b'{"features":"1"}'),
    "no route": (404, "/nowhere", GOOD),
}


@pytest.fixture(params=["front", "flask"])
def ask(client, request):
    """Sends a request in the way of our own server, or in that of all others."""
    app = client.http.application
    gateway, loop = app.extensions["gateway"], app.extensions["gateway.loop"]

    def ask_front(path: str, body: bytes) -> int:
        call = Call("POST", path, "", {"content-type": "application/json"}, body, complete_s=time.monotonic())
        handler = gateway.routes.find(call)
        return ask_flask(path, body) if handler is None else loop.run(gateway.edge.answer(call, handler)).status

    def ask_flask(path: str, body: bytes) -> int:
        environ = create_environ(path, method="POST", data=body, content_type="application/json")
        statuses: list[str] = []
        pieces = app.wsgi_app(environ, lambda status, headers, exc_info=None: statuses.append(status))
        b"".join(pieces)
        return int(statuses[0][:3])

    return ask_front if request.param == "front" else ask_flask


@pytest.fixture
def cycles() -> Iterator[Callable[[], Counter]]:
    """Counts what is only there because of cycles, by type, since it was last asked."""

    def found() -> Counter:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        counts = Counter(type(thing) for thing in gc.garbage)
        gc.garbage.clear()
        gc.collect()  # only now they are freed; otherwise they would be counted the next time again
        return counts

    gc.disable()
    yield found
    gc.enable()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_leaves_no_cycle_that_holds_it(ask, fake, cycles, name):
    """Nothing that holds a body is there once for each request. A gateway of a test before may end meanwhile, but only once."""
    status, path, body = REQUESTS[name]

    def left(requests: int) -> int:
        if name.startswith("the backend refuses"):
            fake.failures += [(grpc.StatusCode.INVALID_ARGUMENT, "no")] * requests
        for _ in range(requests):
            assert ask(path, body) == status
        counts = cycles()
        return max(counts[kind] for kind in (BytesIO, types.FrameType, types.TracebackType))

    left(3)  # what is made once for all is not of the request
    assert min(left(ASKED) for _ in range(ROUNDS)) < ASKED
