"""What is answered to a plain request is, byte for byte, what gunicorn's own code answers to it."""

import logging
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import ThreadWorker

from gateway.arrival import ARRIVED
from gateway.worker.exchange import Exchange
from gateway.worker.plain import Head, Heads, PlainRequest
from gateway.worker.plain_answer import _environ, answer

CFG = Config()
CLIENT, SERVER = ("127.0.0.1", 4321), ("127.0.0.2", 8080)
UNIX_CLIENT, UNIX_SERVER = "", "/run/gateway.sock"
OK = "200 OK"
DATE = re.compile(rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def usual(method: str = "GET", extra: str = "", body: bytes = b"") -> bytes:
    head = f"{method} /v1/models/m%20n?a=1 HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\nAccept: x/y\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def plain(data: bytes, heads: Heads | None = None, client: Any = CLIENT) -> PlainRequest:
    head = (heads or Heads(frozenset())).read(data)
    assert isinstance(head, Head)
    return PlainRequest(CFG, client, head, data[head.size : head.size + head.body_size])


def parsed(data: bytes, client: Any = CLIENT) -> Request:
    return Request(CFG, IterUnreader([data]), client)


class Log(Logger):
    """gunicorn's logger, which keeps what it is told instead of writing it."""

    def __init__(self) -> None:
        super().__init__(CFG)
        self.failures: list[BaseException | None] = []

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        assert msg == "Error handling request"
        self.failures.append(sys.exc_info()[1])

    def access(self, *args: Any) -> None:
        pass

    def debug(self, *args: Any, **kwargs: Any) -> None:
        pass


class StockWorker(ThreadWorker):
    """gunicorn's thread worker as far as one request needs it, without its processes."""

    def __init__(self, application: Application, log: Log) -> None:
        self.cfg, self.log, self.wsgi = CFG, log, application
        self.nr, self.max_requests, self.alive = 0, sys.maxsize, True
        self.keepalived_conns: list[Future[Any]] = []
        self.max_keepalived = 1000


def outcome(run: Callable[[Exchange, Log], object], client: Any, server: Any) -> dict[str, object]:
    """What a run sends, what it returns or raises, and what it logs; of the time only that it is there."""
    exchange, log = Exchange(client, server), Log()
    result: object
    try:
        result = run(exchange, log)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is to be the same
        result = (type(error), "" if isinstance(error, AttributeError) else str(error))
    sent, dates = DATE.subn(b"Date\r\n", b"".join(exchange.parts))
    return {"sent": sent, "dates": dates, "result": result, "log": [(type(error), str(error)) for error in log.failures]}


def ours(make: Callable[[], Application], data: bytes, client: Any = CLIENT, server: Any = SERVER) -> dict[str, object]:
    return outcome(lambda exchange, log: answer(plain(data, client=client), exchange, make(), CFG, log), client, server)


def theirs(make: Callable[[], Application], data: bytes, client: Any = CLIENT, server: Any = SERVER) -> dict[str, object]:
    def run(exchange: Exchange, log: Log) -> bool:
        return StockWorker(make(), log).handle_request(parsed(data, client), exchange)

    return outcome(run, client, server)


def answers(body: Callable[[], Any], *headers: Any, status: Any = OK) -> Callable[[], Application]:
    """Makes an application with one answer."""

    def make() -> Application:
        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            start_response(status, list(headers))
            return body()

        return application

    return make


def made(application: Application) -> Callable[[], Application]:
    return lambda: application


def pieces(*parts: bytes) -> Iterable[bytes]:
    yield from parts


LENGTH = ("Content-Length", "5")


def file_answer(*headers: tuple[str, str], at: int = 0) -> Callable[[], Application]:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response(OK, list(headers))
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
        file.write(b"0123456789")
        file.seek(at)
        return environ["wsgi.file_wrapper"](file)

    return made(application)


def writes(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    write = start_response(OK, [("Content-Type", "text/plain")])
    write(b"first")
    return [b"second"]


def writes_all(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response(OK, [LENGTH])(b"first")
    return []


def writes_before_it_starts(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    return [b"first"]


def starts_twice(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response(OK, [LENGTH])
    start_response(OK, [LENGTH])
    return [b"first"]


def starts_again(status: str, *headers: tuple[str, str]) -> Callable[[], Application]:
    """Changes its mind in time."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response(OK, [("X-First", "1"), LENGTH])
        try:
            int("of the application")
        except ValueError:
            start_response(status, list(headers), sys.exc_info())
        return [b"other"]

    return made(application)


def starts_again_too_late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(OK, [("Content-Length", "10")])
    yield b"first"
    try:
        int("of the application")
    except ValueError:
        start_response("500 Internal Server Error", [], sys.exc_info())
    yield b"other"


def raises(error: BaseException, *first: bytes, starts: bool = True) -> Callable[[], Application]:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if starts:
            start_response(OK, [("Content-Length", "10")])
        yield from first
        raise error

    return made(application)


def raises_at_once(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    raise ValueError("at once")


class Closing:
    """A body that tells when it is closed, in what the client is sent."""

    def __init__(self, *parts: Any, fails: bool = False) -> None:
        self.parts, self.fails, self.closed = iter(parts), fails, 0

    def __iter__(self) -> "Closing":
        return self

    def __next__(self) -> Any:
        return next(self.parts)

    def close(self) -> None:
        self.closed += 1
        if self.fails:
            raise ValueError("in close()")


def echoes(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response(OK, [("Content-Length", str(len(body)))])
    return [body]


def hints(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Sends hints before the answer, and tries to within it."""
    environ["wsgi.early_hints"]([("Link", "</a>; rel=preload"), (b"X", b" y ")])
    environ["wsgi.early_hints"]([])
    start_response(OK, [("Content-Length", "10")])
    yield b"first"
    environ["wsgi.early_hints"]([("Link", "</too-late>")])
    yield b"other"


def bad_hints(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "a\r\nX-Split: b")])
    return []


JSON = ("Content-Type", "application/json")
APPLICATIONS: dict[str, Callable[[], Application]] = {
    "whole": answers(lambda: [b"whole"], JSON, LENGTH),
    "pieces": answers(lambda: [b"w", b"", b"hol", b"e"], JSON, LENGTH),
    "first piece is all": answers(lambda: [b"whole", b"", b"more"], LENGTH),
    "generator": answers(lambda: pieces(b"w", b"hole"), LENGTH),
    "str of bytes": answers(lambda: (b"wh", b"ole"), LENGTH),
    "chunked": answers(lambda: [b"whole"], JSON),
    "chunked pieces": answers(lambda: pieces(b"", b"w", b"", b"hole" * 100)),
    "chunked nothing": answers(list),
    "too short": answers(lambda: [b"who"], LENGTH),
    "too long": answers(lambda: [b"whole and more"], LENGTH),
    "too long in pieces": answers(lambda: [b"who", b"le and", b"more"], LENGTH),
    "empty": answers(lambda: [b""], ("Content-Length", "0")),
    "nothing": answers(list, ("Content-Length", "0")),
    "nothing for a length": answers(list, LENGTH),
    "no content": answers(list, status="204 No Content"),
    "no content with length": answers(lambda: [b""], ("Content-Length", "0"), status="204 No Content"),
    "no content with body": answers(lambda: [b"whole"], LENGTH, status="204 No Content"),
    "not modified": answers(list, ("ETag", '"a"'), status="304 Not Modified"),
    "not modified with body": answers(lambda: [b"whole"], LENGTH, status="304 Not Modified"),
    "not found": answers(lambda: [b"whole"], JSON, LENGTH, status="404 Not Found"),
    "not found, chunked": answers(lambda: [b"whole"], JSON, status="404 Not Found"),
    "no reason": answers(lambda: [b"whole"], LENGTH, status="200"),
    "other reason": answers(lambda: [b"whole"], LENGTH, status="200 Fine \xe9"),
    "bad status": answers(lambda: [b"whole"], LENGTH, status="200 OK\r\nX: y"),
    "status is no text": answers(lambda: [b"whole"], LENGTH, status=200),
    "status of bytes": answers(lambda: [b"whole"], LENGTH, status=b"200 OK"),
    "switching": answers(list, ("Connection", "Upgrade"), ("Upgrade", "websocket"), status="101 Switching Protocols"),
    "upgrade with 200": answers(lambda: [b"whole"], ("Connection", "upgrade"), ("Upgrade", "websocket"), LENGTH),
    "hop by hop": answers(lambda: [b"whole"], ("Transfer-Encoding", "chunked"), ("Keep-Alive", "5"), ("Server", "x"), LENGTH),
    "app closes": answers(lambda: [b"whole"], ("connection", "close"), LENGTH),
    "own date": answers(lambda: [b"whole"], ("Date", "today"), LENGTH),
    "lower-case length": answers(lambda: [b"whole"], ("content-length", "5"), ("X-y", "z")),
    "padded": answers(lambda: [b"whole"], ("X-Padded", " \tvalue \t"), LENGTH),
    "padded length": answers(lambda: [b"whole"], ("Content-Length", " 5 ")),
    "signed length": answers(lambda: [b"whole"], ("Content-Length", "+5")),
    "negative length": answers(lambda: [b"whole"], ("Content-Length", "-5")),
    "underscored length": answers(lambda: [b"0123456789"], ("Content-Length", "1_0")),
    "no number": answers(lambda: [b"whole"], ("Content-Length", "five")),
    "superscript length": answers(lambda: [b"whole"], ("Content-Length", "\xb2")),
    "empty length": answers(lambda: [b"whole"], ("Content-Length", "")),
    "length as a number": answers(lambda: [b"whole"], ("Content-Length", 5)),
    "two lengths": answers(lambda: [b"whole"], ("Content-Length", "3"), LENGTH),
    "two lengths, one of them none": answers(lambda: [b"whole"], ("Content-Length", "five"), LENGTH),
    "leading zero": answers(lambda: [b"whole"], ("Content-Length", "005")),
    "same header twice": answers(lambda: [b"whole"], ("X-A", "1"), ("X-A", "2"), LENGTH),
    "latin-1": answers(lambda: [b"whole"], ("X-Latin", "caf\xe9 \xff"), LENGTH),
    "beyond latin-1": answers(lambda: [b"whole"], ("X-Euro", "\u20ac"), LENGTH),
    "split": answers(lambda: [b"whole"], ("X-Split", "a\r\nX-Other: b"), LENGTH),
    "line feed at the end": answers(lambda: [b"whole"], ("X-Split", "a\n"), LENGTH),
    "control": answers(lambda: [b"whole"], ("X-Null", "a\0"), LENGTH),
    "name with a space": answers(lambda: [b"whole"], ("X Name", "a"), LENGTH),
    "name with a line end": answers(lambda: [b"whole"], ("X-Name\n", "a"), LENGTH),
    "empty name": answers(lambda: [b"whole"], ("", "a"), LENGTH),
    "empty value": answers(lambda: [b"whole"], ("X-Empty", ""), LENGTH),
    "value is no text": answers(lambda: [b"whole"], ("X-Number", 1), LENGTH),
    "value of bytes": answers(lambda: [b"whole"], ("X-Bytes", b"1"), LENGTH),
    "body of text": answers(lambda: ["whole"], LENGTH),
    "body of bytearray": answers(lambda: [bytearray(b"whole")], LENGTH),
    "body of bytes, not in a list": answers(lambda: b"whole", LENGTH),
    "no body": answers(lambda: None, LENGTH),
    "file": file_answer(JSON, ("Content-Length", "10")),
    "file of unknown length": file_answer(JSON),
    "file from the middle": file_answer(("Content-Length", "3"), at=4),
    "write()": made(writes),
    "write() of all": made(writes_all),
    "no start": made(writes_before_it_starts),
    "start twice": made(starts_twice),
    "start again as an error": starts_again("500 Internal Server Error", LENGTH),
    "start again as it was": starts_again(OK, ("X-Second", "2")),
    "start again too late": made(starts_again_too_late),
    "raises at once": made(raises_at_once),
    "raises unstarted": raises(ValueError("early"), starts=False),
    "raises before the first byte": raises(ValueError("early")),
    "raises within the body": raises(ValueError("late"), b"first"),
    "raises after the body": raises(ValueError("late"), b"0123456789"),
    "exits before the first byte": raises(SystemExit(1)),
    "exits within the body": raises(SystemExit(1), b"first"),
    "is interrupted": raises(KeyboardInterrupt(), b"first"),
    "connection is lost": raises(BrokenPipeError(32, "broken"), b"first"),
    "connection is lost before": raises(ConnectionResetError(104, "reset")),
    "closes": answers(lambda: Closing(b"whole"), LENGTH),
    "fails to close": answers(lambda: Closing(b"whole", fails=True), LENGTH),
    "fails to close an empty one": answers(lambda: Closing(fails=True)),
    "echo": made(echoes),
    "hints": made(hints),
    "bad hints": made(bad_hints),
}
REQUESTS = {
    "GET": usual(),
    "HEAD": usual("HEAD"),
    "POST": usual("POST", body=b'{"instances":[1]}'),
    "GET, then close": usual(extra="Connection: close\r\n"),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_s_answer_is_sent_as_gunicorn_sends_it(name, request_name):
    data = REQUESTS[request_name]
    assert ours(APPLICATIONS[name], data) == theirs(APPLICATIONS[name], data)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_over_a_unix_socket_too(name):
    data, ends = REQUESTS["POST"], (UNIX_CLIENT, UNIX_SERVER)
    assert ours(APPLICATIONS[name], data, *ends) == theirs(APPLICATIONS[name], data, *ends)


def test_the_table_has_what_is_kept_what_is_closed_and_what_fails():
    """So that the comparison above is one of more than failures."""
    results = Counter(repr(ours(make, REQUESTS["GET"])["result"])[:16] for make in APPLICATIONS.values())
    assert results["True"] > 30
    assert results["(<class 'StopIte"] >= 3
    assert results["(<class 'ValueEr"] >= 3
    assert ours(APPLICATIONS["whole"], REQUESTS["GET, then close"])["result"] is False


def test_a_whole_answer_is_sent_in_one_piece():
    exchange = Exchange(CLIENT, SERVER)
    assert answer(plain(usual()), exchange, APPLICATIONS["whole"](), CFG, Log())
    assert len(exchange.parts) == 1


@pytest.mark.parametrize("parts", [[b"whole"], [b"whole", "text"], []])
def test_a_body_is_closed_once_however_it_ends(parts):
    body = Closing(*parts)
    outcome(lambda exchange, log: answer(plain(usual()), exchange, answers(lambda: body, LENGTH)(), CFG, log), CLIENT, SERVER)
    assert body.closed == 1


def test_a_request_may_be_told_to_close_its_connection():
    exchange, request = Exchange(CLIENT, SERVER), plain(usual())
    request.force_close()
    assert not answer(request, exchange, APPLICATIONS["whole"](), CFG, Log())
    assert b"\r\nConnection: close\r\n" in exchange.parts[0]


def test_what_an_application_says_too_much_about_no_body_is_told_in_the_log(caplog):
    with caplog.at_level(logging.WARNING, "gunicorn.http.wsgi"):
        ours(APPLICATIONS["no content with body"], usual())
        ours(APPLICATIONS["whole"], usual("HEAD"))
    assert [(record.levelname, record.args[0]) for record in caplog.records] == [("WARNING", "GET"), ("WARNING", "HEAD")]


def environ_of(request: PlainRequest, exchange: Exchange) -> dict[str, Any]:
    return _environ(request, SimpleNamespace(headers_sent=False), exchange, CFG)  # type: ignore[arg-type]


def comparable(environ: dict[str, Any]) -> dict[str, Any]:
    """Objects of a request's own as what they are or contain."""
    body, errors, hints = environ.pop("wsgi.input"), environ.pop("wsgi.errors"), environ.pop("wsgi.early_hints")
    return environ | {"body": body.read(), "errors": type(errors), "hints": callable(hints)}


def assert_same_environ(request: PlainRequest, data: bytes, client: Any, server: Any) -> None:
    exchange = Exchange(client, server)
    _, expected = wsgi.create(parsed(data, client), exchange, client, server, CFG)
    added = {"wsgi.multithread": True, ARRIVED: request.arrived_s}
    assert comparable(environ_of(request, exchange)) == comparable(expected | added)


HEADS = {
    "usual": usual("POST", body=b"abc"),
    "get": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "escapes": b"GET /a%20b%2Fc%C3%A9%ff/%zz?x=%20&y=? HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "host without port": b"GET /x HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "repeated": b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
    "odd fields": b"GET /x HTTP/1.1\r\nHost: a\r\nX-Latin: \xe9\r\nX-Empty:\r\nRemote-Addr: 1.2.3.4\r\nServer-Name: b\r\n\r\n",
    "content type": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nab",
}
ENDS = {
    "ipv4": (CLIENT, SERVER),
    "ipv6": (("::1", 4321, 0, 0), ("::1", 8080, 0, 0)),
    "unix": (UNIX_CLIENT, UNIX_SERVER),
    "unix as bytes": (b"", UNIX_SERVER),
}


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", HEADS)
def test_an_environment_is_gunicorn_s_the_first_time_and_later(name, ends):
    heads, (client, server) = Heads(frozenset()), ENDS[ends]
    for _ in range(3):
        assert_same_environ(plain(HEADS[name], heads, client), HEADS[name], client, server)


def test_requests_with_the_same_head_share_nothing_of_their_own():
    heads = Heads(frozenset())
    senders = [((f"10.0.0.{number}", 1000 + number), (f"10.1.0.{number}", 80 + number)) for number in range(4)]
    requests = [
        (plain(usual("POST", body=b"body%d" % number), heads, client), client, server)
        for number, (client, server) in enumerate(senders)
    ]
    assert len({id(request.head) for request, _, _ in requests}) == 1
    exchanges = [Exchange(client, server) for _, client, server in requests]
    environs = [environ_of(request, exchange) for (request, _, _), exchange in zip(requests, exchanges, strict=True)]
    for number, environ in enumerate(environs):
        (client, server), exchange = senders[number], exchanges[number]
        assert environ["wsgi.input"].read() == b"body%d" % number
        assert environ["gunicorn.socket"] is exchange
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (client[0], str(client[1]))
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (server[0], str(server[1]))
        environ["wsgi.early_hints"]([("X-Number", str(number))])
        assert exchange.parts == [b"HTTP/1.1 103 Early Hints\r\nX-Number: %d\r\n\r\n" % number]


def test_what_an_application_puts_into_its_environment_is_gone_with_the_next():
    heads = Heads(frozenset())
    for _ in range(3):
        environ = environ_of(plain(usual(), heads), Exchange(CLIENT, SERVER))
        assert not {"mine", "werkzeug.request"} & environ.keys()
        assert environ["PATH_INFO"] == "/v1/models/m n"
        environ |= {"mine": 1, "werkzeug.request": object(), "PATH_INFO": "/other"}
        del environ["HTTP_HOST"]


def test_a_client_of_a_unix_socket_and_one_of_the_network_do_not_mix():
    heads, data = Heads(frozenset()), usual()
    for client, server in [*ENDS.values(), *reversed(ENDS.values())]:
        assert_same_environ(plain(data, heads, client), data, client, server)


def test_a_remembered_head_keeps_nothing_of_a_request():
    heads = Heads(frozenset())
    request = plain(usual("POST", body=b"body"), heads)
    environ_of(request, Exchange(CLIENT, SERVER))
    kept = [request.head.environ[name] for name in ("wsgi.input", "gunicorn.socket", "wsgi.early_hints")]
    assert kept == [None, None, None]


def test_it_is_sent_over_a_real_connection_as_gunicorn_sends_it():
    """The parts, sent one after the other, are what a client reads when gunicorn writes to its socket."""
    data = REQUESTS["POST"]
    near, far = socket.socketpair()
    with near, far:
        connection = SimpleNamespace(sock=near, client=CLIENT, server=SERVER)
        assert StockWorker(writes, Log()).handle_request(parsed(data), connection)
        near.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: far.recv(4096), b""))
    expected = ours(made(writes), data)
    assert DATE.sub(b"Date\r\n", received) == expected["sent"]
