"""Answering plain requests: what gunicorn's own code does for any request, with less work for the usual one.

What is not usual here is left to that code.
"""

import time
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any, Final

from gunicorn import util
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi

from gateway.arrival import ARRIVED
from gateway.worker.exchange import Exchange
from gateway.worker.plain import PlainRequest

_OK: Final = "200 OK"


class Kind(Enum):
    """What kind of header a name belongs to."""

    ORDINARY = auto()
    LENGTH = auto()
    OTHER = auto()  # of the connection, or none at all


class PlainResponse(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response to a plain request. Head and body of a whole answer are sent in one piece."""

    status: str | None
    headers_sent: bool

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """As of WSGI."""
        headers = list(headers)
        if status != _OK or exc_info or self.status is not None or self.req.method == "HEAD" or not self._take(headers):
            return super().start_response(status, headers, exc_info)
        self.status, self.status_code = status, 200
        self.chunked = self.response_length is None
        return self.write

    def _take(self, headers: list[tuple[str, str]]) -> bool:
        """Take the headers if they are ordinary ones; else none of them."""
        length = None
        for name, value in headers:
            kind = _kind(name)
            if kind is Kind.OTHER or type(value) is not str or not wsgi.HEADER_VALUE_RE.fullmatch(value):
                return False
            if kind is Kind.LENGTH:
                if not (value.isascii() and value.isdigit()):
                    return False
                length = value
        self.response_length = None if length is None else int(length)
        self.headers = [(name, value.strip(" \t")) for name, value in headers]
        return True

    def send_headers(self) -> None:
        """Send the head, once."""
        if not self.headers_sent:
            self.sock.sendall(self._head())
            self.headers_sent = True

    def _head(self) -> bytes:
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        if self.upgrade or self.chunked:
            return f"{''.join(self.default_headers())}{fields}\r\n".encode("latin-1")
        connection = "close" if self.should_close() else "keep-alive"
        usual = f"HTTP/1.1 {self.status}\r\nServer: {self.version}\r\nDate: {_date()}\r\nConnection: {connection}\r\n"
        return f"{usual}{fields}\r\n".encode("latin-1")

    def write(self, arg: bytes) -> None:
        """Send a piece of the body."""
        if self.headers_sent or type(arg) is not bytes or self.response_length != len(arg) or self._omits_body:
            super().write(arg)
            return
        self.sock.sendall(self._head() + arg)
        self.headers_sent = True
        self.sent += len(arg)


@lru_cache(maxsize=256)
def _kind(name: str) -> Kind:
    if not wsgi.TOKEN_RE.fullmatch(name) or util.is_hoppish(name):
        return Kind.OTHER
    return Kind.LENGTH if name.lower() == "content-length" else Kind.ORDINARY


def _date() -> str:
    return _date_of(int(time.time()))


@lru_cache(maxsize=1)
def _date_of(second: int) -> str:
    date: str = util.http_date(second)
    return date


def answer(request: PlainRequest, exchange: Exchange, application: Any, cfg: Config, log: Logger) -> bool:
    """Run the application; whether the connection may be kept. Raises what gunicorn's own worker raises here."""
    response = PlainResponse(request, exchange, cfg)
    try:
        _run(request, response, exchange, application, cfg)
    except OSError:
        raise
    except (Exception, SystemExit):
        if not response.headers_sent:
            raise
        # An answer has begun: another one behind it would be taken for a part of it.
        log.exception("Error handling request")
        raise StopIteration from None
    return not response.should_close()


def _run(request: PlainRequest, response: PlainResponse, exchange: Exchange, application: Any, cfg: Config) -> None:
    body = application(_environ(request, response, exchange, cfg), response.start_response)
    try:
        if isinstance(body, wsgi.FileWrapper):
            response.write_file(body)
        else:
            for piece in body:
                response.write(piece)
        response.close()
    finally:
        if hasattr(body, "close"):
            body.close()


def _environ(request: PlainRequest, response: PlainResponse, exchange: Exchange, cfg: Config) -> dict[str, Any]:
    """The WSGI environment of a request. What those with the same head have in common is made once."""
    client, server, template = exchange.client, exchange.server, request.head.environ
    made: dict[str, Any]
    hints = partial(_send_early_hints, request, exchange, response)
    if not isinstance(client, tuple) or not isinstance(server, tuple):  # of a unix socket
        made = wsgi.create(request, exchange, client, server, cfg)[1]
        return made | {"wsgi.multithread": True, "wsgi.early_hints": hints, ARRIVED: request.arrived_s}
    if not template:
        made = wsgi.create(request, exchange, client, server, cfg)[1]
        nobodys = {"wsgi.input": None, "gunicorn.socket": None, "wsgi.early_hints": None}
        template.update(made | nobodys | {"wsgi.multithread": True})
    own = template.copy()
    own["wsgi.input"] = request.body
    own["gunicorn.socket"] = exchange
    own["wsgi.early_hints"] = hints
    own[ARRIVED] = request.arrived_s
    own["REMOTE_ADDR"], own["REMOTE_PORT"] = client[0], str(client[1])
    own["SERVER_NAME"], own["SERVER_PORT"] = server[0], str(server[1])
    return own


def _send_early_hints(request: PlainRequest, exchange: Exchange, response: PlainResponse, headers: Any) -> None:
    wsgi._make_early_hints_callback(request, exchange, response)(headers)
