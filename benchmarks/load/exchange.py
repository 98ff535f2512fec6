"""One request and its answer over a kept connection, and the check that a contender's answers are the model's."""

import http.client
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.contender import Call, Contender, Encoding, Floats
from benchmarks.errors import BenchError, WrongAnswer
from benchmarks.load import request_headers
from benchmarks.workload import Workload, is_right

_TIMEOUT_S = 60.0
_SHOWN = 200
_PAUSE_S = 0.1
# What `Encoding.read` may raise for a body that it cannot read.
UNREADABLE = (ValueError, KeyError, TypeError, IndexError)


def request_bytes(call: Call, port: int) -> bytes:
    """Return the request as it goes over the wire, but for the headers that are unlike in each (`request_headers`)."""
    lines = [f"{call.method} {call.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    if call.body or call.method == "POST":
        lines.append(f"Content-Length: {len(call.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + call.body


def draw_inputs(workload: Workload, rows: int, variants: int, seed: int) -> list[Floats]:
    """Return so many different arrays of so many rows; the same seed gives the same arrays."""
    rng = np.random.default_rng(seed)
    return [workload.draw(rng, rows) for _ in range(variants)]


def check(contender: Contender, encoding: Encoding, workload: Workload, inputs: Sequence[Floats], retry_s: float = 0.0) -> None:
    """Send every array once, over one connection.

    A status other than 200 is tried again for ``retry_s``: a load may have left a full queue behind. Raises
    WrongAnswer for predictions that are not the model's, and BenchError where there are none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=_TIMEOUT_S)
    until_s = time.monotonic() + retry_s
    try:
        for rows in inputs:
            body = _body(contender, connection, encoding.ask(rows), until_s)
            if encoding.read is not None:
                _check_body(contender.name, encoding.read, body, workload.expect(rows))
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{contender.name} does not answer: {type(error).__name__} {error}") from error
    finally:
        connection.close()


def send(connection: http.client.HTTPConnection, call: Call, keys: Sequence[str] = ()) -> http.client.HTTPResponse:
    """Send one call, with one of ``keys``, over a kept connection; return the answer, whose body is still to be read."""
    connection.request(call.method, call.path, call.body or None, {**call.headers, **request_headers.fresh(keys)})
    return connection.getresponse()


def _body(contender: Contender, connection: http.client.HTTPConnection, call: Call, until_s: float) -> bytes:
    while True:
        response = send(connection, call, contender.keys)
        body = response.read()
        if response.status == 200:
            return body
        if time.monotonic() > until_s:
            raise BenchError(f"{contender.name} answered {call.method} {call.path} with {response.status}: {body[:_SHOWN]!r}")
        time.sleep(_PAUSE_S)


def _check_body(name: str, read: Callable[[bytes], Floats], body: bytes, expected: Floats) -> None:
    try:
        answered = read(body)
    except UNREADABLE as error:
        raise WrongAnswer(f"{name} gave an answer that cannot be read ({error}): {body[:_SHOWN]!r}") from error
    if not is_right(answered, expected):
        told = f"{answered.ravel()[:5]}, not {expected.ravel()[:5]}"
        raise WrongAnswer(f"{name} gave predictions that are not the model's: {told}")
