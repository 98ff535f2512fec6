"""``python -m tests.stack.http_app WORKER_CLASS CONFIG``: a WSGI application that does all an application may do, and may not.

CONFIG is JSON of gunicorn settings, and ``hooks_log``, a file that tells which hooks were called.
"""

import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from gunicorn.app.base import BaseApplication

from gateway.arrival import ARRIVED

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

TEXT = [("Content-Type", "text/plain")]
ROUTES: dict[str, Callable[[Environ, Start], Any]] = {}
# Keys of the environ whose values are the server's own objects.
OBJECTS = ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket")
ABILITIES = ("read", "readline", "readlines", "write", "flush", "sendall", "__iter__", "__call__")
CLOSED: list[str] = []


class Closing:
    """An iterable that notes that it was closed."""

    def __init__(self, name: str, pieces: Iterable[bytes], failing: str = "") -> None:
        self._name, self._pieces, self._failing = name, iter(pieces), failing

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._failing == "iter":
            raise RuntimeError("while iterating")

    def close(self) -> None:
        CLOSED.append(self._name)
        if self._failing == "close":
            raise RuntimeError("while closing")


def route(function: Callable[[Environ, Start], Any]) -> Callable[[Environ, Start], Any]:
    ROUTES["/" + function.__name__.replace("_", "-")] = function
    return function


def numbers(offset: int = 0) -> IO[bytes]:
    """A file on the disk, of 4000 bytes."""
    opened = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    opened.write(b"".join(b"%03d " % number for number in range(1000)))
    opened.seek(offset)
    return opened


def plain(start: Start, body: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    start(status, [*TEXT, ("Content-Length", str(len(body))), *headers])
    return [body]


def application(environ: Environ, start: Start) -> Any:
    path = environ["PATH_INFO"]
    if path.startswith("/status/"):
        return answer_with_status(environ, start)
    return ROUTES.get(path, environ_dump)(environ, start)


def answer_with_status(environ: Environ, start: Start) -> list[bytes]:
    """``/status/<code>?length=5&body=hello``: both optional."""
    query = dict(part.partition("=")[::2] for part in environ["QUERY_STRING"].split("&"))
    headers = [("X-A", "1")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    start(f"{environ['PATH_INFO'].rpartition('/')[2]} Told", headers)
    return [query["body"].encode()] if "body" in query else []


@route
def healthz(environ: Environ, start: Start) -> list[bytes]:
    return plain(start, b"alive", headers=[("X-Request-Id", environ.get("HTTP_X_REQUEST_ID", "none"))])


def environ_dump(environ: Environ, start: Start) -> list[bytes]:
    # What the gateway's worker adds of its own, and differs each time, apart.
    told = {key: told_value(key, value) for key, value in environ.items() if key != ARRIVED}
    return plain(start, json.dumps(told, sort_keys=True, indent=1).encode())


def told_value(key: str, value: Any) -> object:
    if key in OBJECTS:
        return "there"
    return "*" if key in ("REMOTE_PORT", "SERVER_PORT") and value.isdigit() else repr(value)


@route
def abilities(environ: Environ, start: Start) -> list[bytes]:
    """What the server's objects can do, in an answer of always the same length."""
    told = {key: [ability for ability in ABILITIES if hasattr(environ[key], ability)] for key in OBJECTS}
    return plain(start, json.dumps(told).ljust(2000).encode())


@route
def slow(environ: Environ, start: Start) -> list[bytes]:
    time.sleep(float(environ["QUERY_STRING"]))
    return plain(start, b"at last")


@route
def closed(environ: Environ, start: Start) -> list[bytes]:
    return plain(start, json.dumps(sorted(CLOSED)).encode())


@route
def stream(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("stream", [b"one ", b"two ", b"three"])


@route
def generator(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", TEXT)
    yield b"one "
    yield b"two"


@route
def stream_of_nothing(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return []


@route
def stream_with_empty_pieces(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"", b"one", b"", b"two", b""]


@route
def stream_of_many(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return (b"%d\n" % number for number in range(2000))


@route
def large(environ: Environ, start: Start) -> list[bytes]:
    return plain(start, b"x" * 3_000_000)


@route
def large_stream(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return (b"y" * 65_536 for _ in range(40))


@route
def length_too_small(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello", b" and more"]


@route
def length_too_small_in_one_piece(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello and more"]


@route
def length_too_large(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "50"), ("Connection", "close")])
    return [b"hello"]


@route
def length_that_is_none(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "x")])
    return [b"hello"]


@route
def length_twice(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "5"), ("Content-Length", "5")])
    return [b"hello"]


@route
def length_of_zero(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "0")])
    return []


@route
def write(environ: Environ, start: Start) -> Iterable[bytes]:
    send = start("200 OK", TEXT)
    send(b"written ")
    send(b"twice")
    return []


@route
def write_and_iterate(environ: Environ, start: Start) -> Iterable[bytes]:
    send = start("200 OK", [*TEXT, ("Content-Length", "16")])
    send(b"written ")
    return [b"iterated"]


@route
def write_text(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)("no bytes")  # type: ignore[arg-type]
    return []


@route
def raise_at_once(environ: Environ, start: Start) -> Iterable[bytes]:
    raise RuntimeError("at once")


@route
def raise_after_start(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    raise RuntimeError("after start_response")


@route
def raise_before_the_first_piece(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("raise-before-the-first-piece", [], "iter")


@route
def raise_after_the_first_piece(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("raise-after-the-first-piece", [b"one"], "iter")


@route
def raise_in_the_middle_of_a_length(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "50")])
    return Closing("raise-in-the-middle-of-a-length", [b"one"], "iter")


@route
def raise_in_close(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "3")])
    return Closing("raise-in-close", [b"one"], "close")


@route
def raise_os_error(environ: Environ, start: Start) -> Iterable[bytes]:
    raise OSError(5, "the disk is broken")


@route
def raise_broken_pipe(environ: Environ, start: Start) -> Iterable[bytes]:
    raise BrokenPipeError(32, "some other pipe")


@route
def raise_stop_iteration(environ: Environ, start: Start) -> Iterable[bytes]:
    raise StopIteration


@route
def start_twice(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    start("201 Created", TEXT)
    return [b"x"]


@route
def start_twice_with_a_reason(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("X-First", "1")])
    try:
        raise RuntimeError("a reason")  # noqa: TRY301 - an exception to tell of
    except RuntimeError:
        start("500 Changed", [*TEXT, ("Content-Length", "7")], sys.exc_info())
    return [b"changed"]


@route
def start_again_too_late(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", TEXT)
    yield b"one"
    try:
        raise RuntimeError("too late")  # noqa: TRY301 - an exception to tell of
    except RuntimeError:
        start("500 Changed", TEXT, sys.exc_info())
    yield b"two"


@route
def never_start(environ: Environ, start: Start) -> Iterable[bytes]:
    return [b"hello"]


@route
def never_start_and_nothing(environ: Environ, start: Start) -> Iterable[bytes]:
    return []


@route
def return_none(environ: Environ, start: Start) -> None:
    start("200 OK", TEXT)


@route
def return_text(environ: Environ, start: Start) -> list[str]:
    start("200 OK", TEXT)
    return ["text"]


@route
def return_bytes(environ: Environ, start: Start) -> bytes:
    start("200 OK", [*TEXT, ("Content-Length", "3")])
    return b"abc"


BAD_HEADERS: dict[str, list[tuple[Any, Any]]] = {
    "crlf": [("X-A", "1\r\nX-Evil: 1")],
    "lf": [("X-A", "1\nX-Evil: 1")],
    "cr": [("X-A", "1\rX-Evil: 1")],
    "null": [("X-A", "\x00")],
    "control": [("X-A", "\x1b")],
    "unicode": [("X-A", "\u6f22")],
    "number": [("X-A", 1)],
    "bytes": [("X-A", b"1")],
    "none": [("X-A", None)],
    "name-with-space": [("X A", "1")],
    "name-with-colon": [("X-A:", "1")],
    "name-with-crlf": [("X-A\r\nX-Evil", "1")],
    "name-empty": [("", "1")],
    "name-bytes": [(b"X-A", "1")],
    "name-latin": [("X-\xe9", "1")],
    "not-a-pair": [("X-A", "1", "2")],  # type: ignore[list-item]
}
GOOD_HEADERS: dict[str, list[tuple[str, str]]] = {
    "latin": [("X-A", "caf\xe9")],
    "tab": [("X-A", "a\tb")],
    "blanks-around": [("X-A", "  a  ")],
    "empty": [("X-A", "")],
    "twice": [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
    "small-letters": [("x-a", "1"), ("content-language", "en")],
    "connection-close": [("Connection", "close")],
    "connection-keep-alive": [("Connection", "keep-alive")],
    "connection-upgrade": [("Connection", "Upgrade"), ("Upgrade", "h2c")],
    "websocket": [("Connection", "upgrade"), ("Upgrade", "websocket")],
    "keep-alive": [("Keep-Alive", "timeout=5")],
    "te": [("TE", "trailers")],
    "trailer": [("Trailer", "X-A")],
    "transfer-encoding": [("Transfer-Encoding", "chunked")],
    "proxy-authenticate": [("Proxy-Authenticate", "Basic")],
    "date": [("Date", "Thu, 01 Jan 1970 00:00:00 GMT")],
    "server": [("Server", "mine")],
    "many": [(f"X-{number}", str(number)) for number in range(200)],
    "long": [("X-A", "a" * 20_000)],
}
STATUSES: dict[str, Any] = {
    "no-reason": "200",
    "empty-reason": "200 ",
    "latin": "200 Tr\xe8s bien",
    "unknown-code": "299 Strange",
    "code-999": "999 Most",
    "two-digits": "20 OK",
    "four-digits": "2000 OK",
    "letters": "abc",
    "empty": "",
    "crlf": "200 OK\r\nX-Evil: 1",
    "lf": "200 OK\nX-Evil: 1",
    "null": "200 \x00",
    "unicode": "200 \u6f22",
    "number": 200,
    "bytes": b"200 OK",
    "blank-first": " 200 OK",
    "tab": "200\tOK",
}


@route
def header(environ: Environ, start: Start) -> list[bytes]:
    headers = (GOOD_HEADERS | BAD_HEADERS)[environ["QUERY_STRING"]]
    start("200 OK", [*TEXT, ("Content-Length", "5"), *headers])
    return [b"hello"]


@route
def streamed_header(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [*TEXT, *GOOD_HEADERS[environ["QUERY_STRING"]]])
    return [b"hello"]


@route
def status_line(environ: Environ, start: Start) -> list[bytes]:
    start(STATUSES[environ["QUERY_STRING"]], [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


@route
def file(environ: Environ, start: Start) -> Any:
    start("200 OK", [*TEXT, ("Content-Length", "4000")])
    return environ["wsgi.file_wrapper"](numbers())


@route
def file_without_length(environ: Environ, start: Start) -> Any:
    start("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](numbers(), 100)


@route
def file_from_the_middle(environ: Environ, start: Start) -> Any:
    start("200 OK", [*TEXT, ("Content-Length", "40")])
    return environ["wsgi.file_wrapper"](numbers(2000))


@route
def file_without_a_number(environ: Environ, start: Start) -> Any:
    start("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"), 4)


@route
def file_and_204(environ: Environ, start: Start) -> Any:
    start("204 No Content", [])
    return environ["wsgi.file_wrapper"](numbers())


def received(start: Start, *pieces: object) -> list[bytes]:
    return plain(start, repr(pieces).encode())


@route
def read_all(environ: Environ, start: Start) -> list[bytes]:
    return received(start, environ["wsgi.input"].read())


@route
def read_some(environ: Environ, start: Start) -> list[bytes]:
    return received(start, environ["wsgi.input"].read(3), environ["wsgi.input"].read(0), environ["wsgi.input"].read(2))


@route
def read_to_the_end_by_pieces(environ: Environ, start: Start) -> list[bytes]:
    body = environ["wsgi.input"]
    return received(start, *iter(lambda: body.read(4), b""), body.read(), body.read(5), body.readline())


@route
def read_lines(environ: Environ, start: Start) -> list[bytes]:
    body = environ["wsgi.input"]
    return received(start, body.readline(), body.readline(2), body.readlines())


@route
def read_by_iteration(environ: Environ, start: Start) -> list[bytes]:
    return received(start, *environ["wsgi.input"])


@route
def read_with_minus_one(environ: Environ, start: Start) -> list[bytes]:
    return received(start, environ["wsgi.input"].read(-1))


@route
def read_after_the_start(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", TEXT)
    yield b"before "
    yield environ["wsgi.input"].read()


@route
def errors(environ: Environ, start: Start) -> list[bytes]:
    environ["wsgi.errors"].write("told to wsgi.errors\n")
    environ["wsgi.errors"].flush()
    return plain(start, b"told")


@route
def early_hints(environ: Environ, start: Start) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
    return plain(start, b"after hints")


@route
def early_hints_that_are_bad(environ: Environ, start: Start) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "a\r\nX-Evil: 1")])
    return plain(start, b"after hints")


@route
def early_hints_too_late(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", TEXT)
    yield b"one"
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    yield b"two"


class Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, worker_class: str, config: dict[str, Any]) -> None:
        self._values = {"worker_class": worker_class, "control_socket_disable": True, **config}
        self._hooks_log = self._values.pop("hooks_log", os.devnull)
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._values.items():
            self.cfg.set(name, value)
        self.cfg.set("pre_request", self._pre_request)
        self.cfg.set("post_request", self._post_request)
        self.cfg.set("worker_exit", self._worker_exit)

    def load(self) -> Callable[[Environ, Start], Any]:
        return application

    def _tell(self, *words: object) -> None:
        with open(self._hooks_log, "a", encoding="utf-8") as log:
            log.write(" ".join(map(str, words)) + "\n")

    def _pre_request(self, worker: object, request: Any) -> None:
        self._tell("pre", request.method, request.uri)
        if request.path == "/raise-in-pre-request":
            raise RuntimeError("in pre_request")

    def _post_request(self, worker: object, request: Any, environ: Environ, response: Any) -> None:
        path, status = environ.get("PATH_INFO"), response and response.status
        self._tell("post", request.method, request.uri, path, status, response and response.sent)
        if request.path == "/raise-in-post-request":
            raise RuntimeError("in post_request")

    def _worker_exit(self, arbiter: object, worker: object) -> None:
        self._tell("exit")


if __name__ == "__main__":
    Server(sys.argv[1], json.loads(sys.argv[2])).run()
